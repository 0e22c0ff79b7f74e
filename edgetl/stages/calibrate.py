"""calibrate: one pass of train images over the float graph; statistics stay, images do not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgetl.calibration import ranges, sampling
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.quantize import observe, statistics
from edgetl.stages import prepare

__all__ = ["METHODS", "stage"]

METHODS = ("default", *ranges.METHODS)


def stage(samples: int, method: str, seed: int) -> Stage:
    """Observe up to ``samples`` images of the train role, drawn evenly over the classes."""

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        pictures = prepare.images(inputs["prepare"], "train")
        drawn = sampling.stratified(prepare.labels(inputs["prepare"], "train"), samples, seed)
        model = inputs["export"].path / "model.onnx"
        stats = observe.observe(
            model,
            (np.ascontiguousarray(pictures[index : index + 1]) for index in drawn),
            total=len(drawn),
            on_progress=ctx.advance,
            method=method,
        )
        identity = statistics.identity(
            model, inputs["prepare"].record["preprocess"], inputs["prepare"].digest, drawn.tolist(), method
        )
        statistics.save(stats, identity, out)
        return {
            "summary": f"{len(drawn)} images of the train split, {len(stats.ranges)} tensors",
            "samples": len(drawn),
            "method": method,
        }

    options = {"samples": samples, "method": method, "seed": seed}
    return Stage("calibrate", 6, ("export", "prepare"), options, observe.tools(), run)
