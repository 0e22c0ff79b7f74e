"""halve: the quantized model once more with FP16 types, for TensorRT that takes a graph's types as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgetl.backends import seam
from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.quantize import half, place, statistics
from edgetl.stages import held, prepare, verify
from edgetl.verify.accuracy import logits_of_model

__all__ = ["JUDGED", "stage"]

JUDGED = 100
"""``select`` pictures that the model answers here: a range that was missed shows on the first."""


def stage(source: str, profile: DeviceProfile, host: Mapping[str, str]) -> Stage:
    """Write FP16 types into ``source``'s model, and let ``profile``'s engine answer for it.

    Parameters
    ----------
    source : the stage whose artifact holds the quantized model.
    profile : that engines are compiled for here, a stand-in for the device.
    """
    asked = msgspec.structs.replace(profile, precision="int8")

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        ranges = statistics.load(inputs["calibrate"].path).ranges
        tasks = prepare.tasks_of(inputs["prepare"])
        values = [f"head.{task.name}" for task in tasks if task.kind == "value"]
        model = inputs[source].path / "model.onnx"
        report = half.write_half(model, ranges, out / "model.onnx", precise=values)
        few = slice(None, JUDGED)
        answers = logits_of_model(out / "model.onnx", asked, prepare.images(inputs["prepare"], "select")[few])
        reference = verify.logits(inputs["verify:f32"], "select")[few]
        found = held.against(inputs["prepare"], "select", reference, answers)
        alike = f"{100 * found.agreement:.0f} % of {found.n} select images as f32"
        if tasks and all(task.kind == "value" for task in tasks):
            alike = f"{found.drop_pt:.2f} points lost on {found.n} select images"
        return {
            "summary": f"{report.summary()}, {alike}",
            **msgspec.to_builtins(report),
            "agreement": found.agreement,
            "snr_db": found.snr_db,
            "n": found.n,
        }

    tools = {**place.tools(), **seam.find(profile.backend).fingerprint()}
    options = {"host": dict(host), "threads": profile.threads}
    return Stage("halve", 1, ("prepare", "calibrate", "verify:f32", source), options, tools, run)
