"""The decision threshold of two classes: chosen on the engine's own answers, and what it does on others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl import stats
from edgetl.errors import GateFailed
from edgetl.runtime.prediction import chances
from edgetl.types import Objective, OperatingPoint, Record
from edgetl.verify.metrics import Estimate
from edgetl.words import counted

__all__ = ["AtThreshold", "Decided", "at_threshold", "choose", "few", "held_against", "rarer"]

Labels = npt.NDArray[np.int64]
Logits = npt.NDArray[np.float32]
SHOWN = 0.9
"""A recall that the positives should be able to show where none was asked for."""
Counts = npt.NDArray[np.float64]


class AtThreshold(Record, frozen=True, kw_only=True):
    """An engine's answers at a threshold.

    ``precision`` is ``None`` where nothing was answered positive; ``recall`` and ``specificity`` where no picture is
    positive, or negative.
    """

    n: int
    positives: int
    accuracy: float
    recall: Estimate | None
    specificity: Estimate | None
    precision: Estimate | None

    def said(self) -> str:
        """In words."""
        negatives = self.n - self.positives
        parts = [
            f"recall {_said(self.recall)} of {self.positives}",
            f"specificity {_said(self.specificity)} of {negatives}",
            f"precision {_said(self.precision)}",
        ]
        return ", ".join(parts)


class Decided(Record, frozen=True, kw_only=True):
    """Two engines at one threshold, on the same pictures.

    Attributes
    ----------
    fp32, shipped : each engine's answers.
    recall_drop_pt : points of recall that the shipped one loses, with Tango's interval; ``None`` without positives.
    """

    fp32: AtThreshold
    shipped: AtThreshold
    recall_drop_pt: float | None
    recall_drop_ci95_pt: tuple[float, float] | None

    def lines(self, point: OperatingPoint) -> list[str]:
        """What a summary says: the threshold and what it does, then f32 and what was lost against it."""
        start = (
            f"{point.positive!r} from {point.threshold:.3f} on ({point.objective} on {point.images} select images, "
            f"{point.positives} positive)"
        )
        lines = [start, f"{self.shipped.said()}; accuracy {100 * self.shipped.accuracy:.1f} %"]
        if self.recall_drop_pt is not None and self.recall_drop_ci95_pt is not None:
            low, high = self.recall_drop_ci95_pt
            lines.append(
                f"f32 recall {_said(self.fp32.recall)}: drop {self.recall_drop_pt:.2f} points, "
                f"95 % interval [{low:+.1f}, {high:+.1f}]"
            )
        return lines


def _said(found: Estimate | None) -> str:
    return "n/a" if found is None else found.said()


def choose(labels: Labels, logits: Logits, positive: int, name: str, objective: Objective) -> OperatingPoint:
    """The threshold that serves an objective best on these answers, in the middle of a gap between scores.

    ``recall@R`` keeps recall at R and has the highest specificity there; ``precision@P`` keeps precision at P and has
    the highest recall; ``f1`` and ``balanced-accuracy`` (Youden 1950, Cancer 3:32-35: J is twice it, less 1) are as
    high as they get. Among equals recall decides.

    Parameters
    ----------
    labels : (N,) class indices. logits : (N, 2), of the engine that ships. name : of the class ``positive``.

    Raises
    ------
    GateFailed : no threshold reaches the target but by answering positive every time; or a class is missing.
    """
    scores, mine = chances(logits, positive), labels == positive
    count, others = int(mine.sum()), int((~mine).sum())
    if not count or not others:
        missing = name if not count else "the other class"
        raise GateFailed(
            f"--optimize {objective}: {missing} has no select image to choose a threshold on",
            hint="more labelled pictures, or a val role with both classes",
        )
    order = np.argsort(-scores, kind="stable")
    ends = np.append(
        np.nonzero(np.diff(scores[order]))[0], len(order) - 1
    )  # cuts between distinct scores alone
    found = np.cumsum(mine[order])[ends].astype(np.float64)
    wrong = ends + 1 - found
    recall, precision, specificity = found / count, found / (ends + 1), 1 - wrong / others
    able, worth = _worth(objective, recall, precision, specificity)
    if not able.any():
        raise _unreachable(objective, recall, precision, count, others)
    best = max(np.nonzero(able)[0], key=lambda cut: (worth[cut], recall[cut], -cut))
    above = float(scores[order[ends[best]]])
    below = float(scores[order[ends[best] + 1]]) if ends[best] + 1 < len(order) else 0.0
    middle = (above + below) / 2
    return OperatingPoint(
        positive=name,
        threshold=middle if middle > below else above,  # neighbouring doubles have no middle
        objective=str(objective),
        images=len(labels),
        positives=count,
    )


def _worth(
    objective: Objective, recall: Counts, precision: Counts, specificity: Counts
) -> tuple[npt.NDArray[np.bool_], Counts]:
    """Which cuts keep the objective, and how good each is."""
    useful = specificity > 0
    if objective.metric == "recall":
        return (recall >= (objective.at or 0.0) - 1e-12) & useful, specificity
    if objective.metric == "precision":
        return precision >= (objective.at or 0.0) - 1e-12, recall
    every = np.ones(len(recall), bool)
    if objective.metric == "f1":
        return every, 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    return every, (recall + specificity) / 2


def _unreachable(
    objective: Objective, recall: Counts, precision: Counts, count: int, others: int
) -> GateFailed:
    on = f"on {count + others} select images ({count} positive)"
    if objective.metric == "recall":
        return GateFailed(
            f"--optimize {objective}: {on} it takes answering positive every time",
            hint="a lower target, more or better labelled pictures, or another --model",
        )
    best = int(np.lexsort((recall, precision))[-1])
    return GateFailed(
        f"--optimize {objective}: {on} no threshold reaches it, the best precision is {100 * precision[best]:.1f} % "
        f"at a recall of {100 * recall[best]:.1f} %",
        hint="a lower target, more or better labelled pictures, or another --model",
    )


def rarer(labels: Labels) -> int:
    """Which of two classes has fewer pictures; the second where they are equal."""
    first, second = np.bincount(labels, minlength=2)
    return int(first >= second)


def at_threshold(labels: Labels, logits: Logits, positive: int, threshold: float) -> AtThreshold:
    """What an engine's answers come to at a threshold; intervals are Wilson's.

    Parameters
    ----------
    labels : (N,) class indices, N at least 1. logits : (N, 2). positive : index of the class.
    """
    mine, answered = labels == positive, chances(logits, positive) >= threshold
    return AtThreshold(
        n=len(labels),
        positives=int(mine.sum()),
        accuracy=float((mine == answered).mean()),
        recall=_share(answered[mine]),
        specificity=_share(~answered[~mine]),
        precision=_share(mine[answered]),
    )


def _share(right: npt.NDArray[Any]) -> Estimate | None:
    if not len(right):
        return None
    return Estimate(value=float(right.mean()), ci95=stats.wilson(int(right.sum()), len(right)))


def held_against(
    labels: Labels, reference: Logits, shipped: Logits, positive: int, threshold: float
) -> Decided:
    """The shipped engine and f32 at the same threshold, on the same pictures.

    Parameters
    ----------
    labels : (N,) class indices. reference, shipped : logits (N, 2).
    """
    mine = labels == positive
    before, after = (chances(logits[mine], positive) >= threshold for logits in (reference, shipped))
    lost, gained = int((before & ~after).sum()), int((after & ~before).sum())
    count = int(mine.sum())
    low, high = stats.tango(lost, gained, count) if count else (math.nan, math.nan)
    return Decided(
        fp32=at_threshold(labels, reference, positive, threshold),
        shipped=at_threshold(labels, shipped, positive, threshold),
        recall_drop_pt=100 * (lost - gained) / count if count else None,
        recall_drop_ci95_pt=(100 * low, 100 * high) if count else None,
    )


def few(objective: Objective, point: OperatingPoint) -> str:
    """What so few positives cannot show, by the interval of all of them found; empty where they can."""
    least = objective.at if objective.metric == "recall" and objective.at is not None else SHOWN
    needed = stats.all_needed(least) if least < 1 else None
    if needed is not None and point.positives >= needed:
        return ""
    rests = f"the threshold rests on {counted(point.positives, 'select image')} of {point.positive!r}"
    would = "no number" if needed is None else f"{needed}, all found,"
    return f"{rests}: {would} would show a recall of {100 * least:g} %"
