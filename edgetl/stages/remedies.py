"""The remedies for INT8 that loses too much, one a rung: each tries models and leaves the best with the ladder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl.calibration import ranges, sampling
from edgetl.quantize import bias, rounding
from edgetl.quantize.equalise import equalise
from edgetl.stages import prepare
from edgetl.stages.ladder import FLOAT, Ladder, Variant
from edgetl.stages.sensitivity import by_layer
from edgetl.stages.tune import try_tuning
from edgetl.words import counted

__all__ = ["REMEDIES", "Remedy"]

Array = npt.NDArray[Any]
Remedy = Callable[[Ladder], str]
"""Tries what it knows; why it does not apply, or empty where it does."""

MEASURED = 100
"""Pictures that the sensitivity of a layer is measured on."""
KEPT = 0.25
"""Share of the layers that may stay in float: with more of them there is little left of INT8."""


def _try_methods(ladder: Ladder) -> str:
    """Ranges made in every other way from the same statistics."""
    best = ladder.best
    counted = all(one.bins is not None for one in best.stats.ranges.values())
    usual = ranges.DEFAULT if best.method == "default" else best.method
    for method in ranges.METHODS:
        if method != usual and (counted or not ranges.needs_histogram(method)):
            ladder.consider(replace(best, method=method), method)
    return ""


def _try_equalising(ladder: Ladder) -> str:
    """Channels of one range, where what is between two layers allows it; observed anew on the same pictures."""
    best = ladder.best
    model = ladder.scratch / FLOAT
    scaled = equalise(best.model, best.stats.ranges, model)
    if not scaled:
        return "no layer's output goes to other layers through operators that keep a factor"
    ladder.consider_with_first_method(ladder.recalibrate(model), f"{len(scaled)} layers equalised")
    return ""


def _try_biases(ladder: Ladder) -> str:
    """Biases corrected by what the INT8 network answers."""
    _correct(ladder, ladder.best, "biases corrected")
    return ""


def _correct(ladder: Ladder, variant: Variant, what: str) -> None:
    quantized = ladder.scratch / "uncorrected.onnx"
    variant.quantize(quantized, ladder.setting.scheme)
    pictures = _drawn(ladder, bias.PICTURES)
    shifts = bias.measure(variant.model, quantized, pictures, on_progress=ladder.advance)
    ladder.consider(replace(variant, shifts=shifts), what)


def _try_rounding(ladder: Ladder) -> str:
    """Weights rounded by what their layer answers, and what biases then lack."""
    best = ladder.best
    pictures = _drawn(ladder, rounding.PICTURES)
    rounded = rounding.round_layers(best.model, pictures, ladder.setting.scheme, on_progress=ladder.advance)
    variant = replace(best, rounded=rounded, shifts={})
    ladder.consider(variant, "weights rounded")
    if not ladder.held:
        _correct(ladder, variant, "weights rounded, biases corrected")
    return ""


def _drawn(ladder: Ladder, count: int) -> list[Array]:
    """Train pictures, evenly over the classes."""
    train = ladder.pictures("train")
    drawn = sampling.stratified(ladder.labels("train"), count, ladder.setting.seed)
    return [np.ascontiguousarray(train[index : index + 1]) for index in drawn]


def _try_float(ladder: Ladder) -> str:
    """The layers that change the answers most stay in float: one, two, four, and so on."""
    best, setting = ladder.best, ladder.setting
    pictures = ladder.pictures("select")[:MEASURED]
    effects = by_layer(
        best.model,
        best.stats,
        setting.scheme,
        best.method,
        ladder.reference[:MEASURED],
        lambda model: ladder.answers(model, pictures),
        rounded=best.rounded,
        on_progress=ladder.advance,
        tasks=prepare.tasks_of(ladder.inputs["prepare"]),
    )
    count = 1
    while count <= max(1, int(KEPT * len(effects))) and not ladder.held:
        kept = tuple(effect.name for effect in effects[:count])
        ladder.consider_with_first_method(replace(best, kept=kept), f"{counted(count, 'layer')} in float")
        count *= 2
    return ""


REMEDIES: Mapping[str, Remedy] = {
    "method": _try_methods,
    "equalise": _try_equalising,
    "bias": _try_biases,
    "rounding": _try_rounding,
    "float": _try_float,
    "tune": try_tuning,
}
"""The rungs above the first, in the order of what they cost to run and to build."""
