"""quantize: ranges from the statistics, Q/DQ pairs where the target wants them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgetl.pipeline import Artifact, Context, Stage
from edgetl.quantize import place, schemes, statistics

__all__ = ["stage"]


def stage(scheme: str, method: str, *, reduce_range: bool) -> Stage:
    """Place Q/DQ by a scheme; ``reduce_range`` keeps sums of weights within 16 bits for CPUs without VNNI."""

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        model = inputs["export"].path / "model.onnx"
        stats = statistics.load(inputs["calibrate"].path, model=model)
        report = place.quantize(
            model, stats, schemes.find(scheme), method, out / "model.onnx", reduce_range=reduce_range
        )
        return {"summary": report.summary(), **msgspec.to_builtins(report)}

    options = {"scheme": scheme, "method": method, "reduce_range": reduce_range}
    return Stage("quantize", 8, ("export", "calibrate"), options, place.tools(), run)
