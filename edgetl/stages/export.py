"""export: the checkpoint becomes ONNX, held against torch on real pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgetl.pipeline import Artifact, Context, Stage
from edgetl.stages import prepare
from edgetl.stages.backbone import FEATURES, versions_of

__all__ = ["PARITY_IMAGES", "in_parts", "stage"]

PARITY_IMAGES = 32


def stage(batch: int | Literal["dynamic"], *, from_backbone: bool, cast_first: bool = False) -> Stage:
    """``model.onnx`` of the checkpoint.

    Parameters
    ----------
    from_backbone : the body was exported already and only its head is new: the head is put behind it, which saves a
        second run of the exporter. Parity is measured on the whole graph either way.
    cast_first : as TensorRT wants its pixels (``export.export_classifier``).
    """

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        from edgetl import export as exporter
        from edgetl import heads
        from edgetl.transfer import checkpoint

        net, record = checkpoint.load(inputs["train"].path)
        model = out / "model.onnx"
        tasks = record.tasks or ()
        if from_backbone:
            head = np.load(inputs["train"].path / checkpoint.HEAD)
            body = inputs["backbone"].path / FEATURES
            if tasks:
                opset = heads.with_heads(body, head["weight"], head["bias"], tasks, model)
            else:
                opset = heads.with_head(body, head["weight"], head["bias"], model)
            told = inputs["backbone"].record["export"]
            used, why = told["exporter"], told["why"]
        else:
            report = exporter.export_network(
                net, record.preprocess, model, tasks, batch=batch, cast_first=cast_first
            )
            used, why, opset = report.exporter, report.why, report.opset
        pictures = prepare.images(inputs["prepare"], "select")
        if len(pictures) < PARITY_IMAGES:
            pictures = prepare.images(inputs["prepare"], "train")
        count = min(PARITY_IMAGES, len(pictures))
        parity = exporter.check_parity(net, record.preprocess, model, pictures[:count], tasks)
        fallback = f" (by the second exporter: {why})" if why else ""
        return {
            "summary": f"ONNX opset {opset}, preprocessing inside{fallback} · parity {parity:.0e} on {count} images",
            "exporter": used,
            "why": why,
            "opset": opset,
            "parity": parity,
            "size_bytes": model.stat().st_size,
        }

    needs = ("train", "prepare", "backbone") if from_backbone else ("train", "prepare")
    options = {"batch": batch, **({"cast_first": True} if cast_first else {})}
    return Stage("export", 2, needs, options, versions_of("torch", "onnx", "onnxscript"), run)


def in_parts(method: str, batch: int | Literal["dynamic"]) -> bool:
    """Whether the body is exported by itself, with this batch, and a trained head put behind it."""
    return method == "feature" and batch in (1, "dynamic")
