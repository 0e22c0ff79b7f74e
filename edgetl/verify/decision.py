"""``edgetl verify`` beyond accuracy: how an engine ranks, and whether its threshold still does what it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl.errors import EdgetlError, GateFailed
from edgetl.runtime import Bundle
from edgetl.verify import metrics, operating
from edgetl.verify.operating import AtThreshold, Decided

__all__ = ["Measured", "measured"]

Labels = npt.NDArray[np.int64]
Logits = npt.NDArray[np.float32]
SLACK = 0.02
"""A recall may move by so much with another CPU's rounding, on the same images."""


@dataclass(frozen=True)
class Measured:
    """For ``accuracy`` of ``--json``, for the terminal, and why the answer is no (``None`` where it is yes)."""

    data: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    failure: EdgetlError | None = None


def measured(bundle: Bundle, labels: Labels, reference: Logits, shipped: Logits, same: bool) -> Measured:
    """How a bundle's engine ranks, and what it answers at its threshold, beside f32.

    Parameters
    ----------
    labels : (N,) class indices. reference, shipped : logits (N, classes) of f32 and of the engine.
    same : these are the test images of the build, so that recall must be the same.
    """
    point = bundle.manifest.operating_point
    found = {
        "shipped": metrics.measure(labels, shipped, bundle.labels),
        "fp32": metrics.measure(labels, reference, bundle.labels),
    }
    ranking = metrics.lines(found["shipped"], found["fp32"], point.positive if point else None)
    data: dict[str, Any] = {"metrics": msgspec.to_builtins(found), "ranking": ranking}
    lines = [f"             {line}" for line in ranking]
    if point is None:
        return Measured(data, lines)
    positive = bundle.labels.index(point.positive)
    decided = operating.held_against(labels, reference, shipped, positive, point.threshold)
    data["at_threshold"] = msgspec.to_builtins(decided)
    for number, line in enumerate(decided.lines(point)):
        lines.append(f"  {'' if number else 'threshold':<10} {line}")
    before = _before(bundle.results["accuracy"])
    return Measured(data, lines, None if before is None else _moved(before, decided.shipped, same))


def _before(accuracy: Mapping[str, Any]) -> AtThreshold | None:
    """What the shipped engine answered at the threshold when it was built."""
    stored = accuracy.get("at_threshold")
    return None if stored is None else msgspec.convert(stored, Decided).shipped


def _moved(before: AtThreshold, now: AtThreshold, same: bool) -> GateFailed | None:
    """A recall or specificity below what the build measured, by more than chance allows two sets of images."""
    for what in ("recall", "specificity"):
        was, found = getattr(before, what), getattr(now, what)
        if was is None or found is None:
            continue
        allowed = was.value - SLACK if same else was.ci95[0] - (found.ci95[1] - found.value)
        if found.value < allowed:
            return GateFailed(
                f"{what} at the threshold is {100 * found.value:.1f} %, the build measured {100 * was.value:.1f} %: "
                "more than chance explains",
                hint="build again: the threshold does not fit this engine or these pictures",
                found=found.value,
                at_build=was.value,
            )
    return None
