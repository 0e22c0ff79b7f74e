"""fuse: a model once more with its head in one node, held against itself; TensorRT compiles that one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgetl.candidate import fused_file
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.quantize import fused_head, fused_reference, place
from edgetl.stages import prepare, refine

__all__ = ["FILES", "JUDGED", "name_of", "stage"]

FILES = {"export": "model.fp32.onnx", refine.final(): "model.int8.onnx", "halve": "model.int8.fp16.onnx"}
"""Stage -> what its model is called in a bundle."""

JUDGED = 100
"""``select`` pictures that both heads answer: a wrong sum shows on the first."""


def name_of(source: str) -> str:
    """The stage that fuses the head of ``source``'s model."""
    return f"fuse:{source}"


def stage(source: str) -> Stage:
    """Put the head of ``source``'s model into one node, and hold its reference against the model as it was."""

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        plain = inputs[source].path / "model.onnx"
        report = fused_head.write_fused(plain, out / "model.onnx")
        pictures = prepare.images(inputs["prepare"], "select")[:JUDGED]
        held = fused_reference.compare(plain, out / "model.onnx", pictures)
        share = f"{100 * held.agreement:.0f} %"
        said = f"{report.summary()}, {share} of {held.n} select images as before"
        return {
            "summary": said if source == "export" else share,
            "file": fused_file(FILES[source]),
            **msgspec.to_builtins(report),
            **msgspec.to_builtins(held),
        }

    return Stage(name_of(source), 1, ("prepare", source), {}, place.tools(), run)
