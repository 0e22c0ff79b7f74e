"""What accuracy alone does not tell: how well scores rank, and whether probabilities are what they say; with intervals.

Needs numpy alone, for it is asked on devices too. Intervals treat pictures as independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from edgetl import stats
from edgetl.types import Record

__all__ = [
    "BINS",
    "ClassMetrics",
    "Estimate",
    "Metrics",
    "average_precision",
    "calibration_error",
    "lines",
    "measure",
    "roc_auc",
    "softmax",
]

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

BINS = 15
"""Of equal width, as in Guo et al. 2017."""
DRAWS = 1000
RARE = 3.0
"""Ratio of class sizes from which accuracy hides the smaller ones."""
_Z = 1.959963984540054


class Estimate(Record, frozen=True, kw_only=True):
    """A figure from 0 to 1 and its 95 % interval."""

    value: float
    ci95: tuple[float, float]

    def plain(self) -> str:
        """As areas and errors are told.

        >>> Estimate(value=0.5, ci95=(0.4, 0.61)).plain()
        '0.500 [0.400, 0.610]'
        """
        return f"{self.value:.3f} [{self.ci95[0]:.3f}, {self.ci95[1]:.3f}]"

    def said(self) -> str:
        """In percent.

        >>> Estimate(value=0.5, ci95=(0.4, 0.61)).said()
        '50.0 % [40.0, 61.0]'
        """
        return f"{100 * self.value:.1f} % [{100 * self.ci95[0]:.1f}, {100 * self.ci95[1]:.1f}]"


class ClassMetrics(Record, frozen=True, kw_only=True):
    """How a class is told from all others; ``n`` of its pictures.

    ``roc_auc`` and ``average_precision`` are ``None`` where it has no picture, or no other class has.
    """

    name: str
    n: int
    roc_auc: Estimate | None
    average_precision: Estimate | None


class Metrics(Record, frozen=True, kw_only=True):
    """Of one engine on labelled pictures.

    Attributes
    ----------
    by_class : one against the rest, in the order of the classes.
    calibration_error : expected calibration error of the answered class's probability, in ``bins`` bins.
    """

    by_class: tuple[ClassMetrics, ...]
    calibration_error: Estimate
    bins: int = BINS


def measure(
    labels: Labels, logits: npt.NDArray[np.float32], classes: Sequence[str], seed: int = 0
) -> Metrics:
    """Every figure of an engine.

    Parameters
    ----------
    labels : (N,) class indices, N at least 1. logits : (N, classes). seed : of the interval that is drawn.
    """
    shares = softmax(logits)
    found = []
    for index, name in enumerate(classes):
        mine = labels == index
        known = bool(mine.any() and not mine.all())
        found.append(
            ClassMetrics(
                name=name,
                n=int(mine.sum()),
                roc_auc=roc_auc(mine, shares[:, index]) if known else None,
                average_precision=average_precision(mine, shares[:, index]) if known else None,
            )
        )
    error = calibration_error(shares.argmax(axis=1) == labels, shares.max(axis=1), seed=seed)
    return Metrics(by_class=tuple(found), calibration_error=error)


def lines(shipped: Metrics, reference: Metrics, positive: str | None) -> list[str]:
    """What a summary says of two classes, or of many where some are rare; nothing where accuracy says enough.

    Parameters
    ----------
    reference : of f32. positive : the class of two to speak of; ``None`` takes the rarer one.
    """
    known = [one for one in shipped.by_class if one.roc_auc is not None]
    counts = [one.n for one in known]
    if not known or (len(shipped.by_class) > 2 and max(counts) < RARE * min(counts)):
        return []
    chosen = next((one for one in known if one.name == positive), None)
    if chosen is None:  # of many the one that ranks worst, of two the rarer
        chosen = min(known, key=lambda one: one.roc_auc.value if len(known) > 2 and one.roc_auc else one.n)
    before = next(one for one in reference.by_class if one.name == chosen.name)
    assert chosen.roc_auc and chosen.average_precision and before.roc_auc
    worst = "lowest " if len(known) > 2 else ""
    return [
        f"{worst}ROC AUC of {chosen.name!r} {chosen.roc_auc.plain()} (f32 {before.roc_auc.value:.3f}), "
        f"average precision {chosen.average_precision.plain()}",
        f"expected calibration error {shipped.calibration_error.plain()}, {shipped.bins} bins",
    ]


def softmax(logits: npt.NDArray[np.float32]) -> Floats:
    """Probabilities, float64 (N, classes)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares


def roc_auc(positive: npt.NDArray[np.bool_], scores: Floats) -> Estimate:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    The estimate is that of Mann & Whitney 1947; the interval is method 5 of Newcombe 2006 (Stat. Med. 25:559-573): the
    areas whose own variance, that of Hanley & McNeil 1982 at (positives + negatives) / 2, does not rule the estimate
    out. Unlike Wald's or DeLong's, it has width where every positive scores above every negative.

    Parameters
    ----------
    positive : (N,), some true and some false. scores : (N,), larger for positives.

    Raises
    ------
    ValueError : there are no positives or no negatives.
    """
    count = int(positive.sum())
    others = len(positive) - count
    if not count or not others:
        raise ValueError(f"{count} positives and {others} negatives: one of each is the least")
    ranked = _average_ranks(scores)
    area = float((ranked[positive].sum() - count * (count + 1) / 2) / (count * others))

    def beyond(other: float) -> bool:
        return abs(area - other) > _Z * math.sqrt(_area_variance(other, count, others))

    return Estimate(value=area, ci95=(_edge(beyond, 0.0, area), _edge(beyond, 1.0, area)))


def _average_ranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranked: Floats = (np.cumsum(counts) - (counts - 1) / 2)[place.reshape(-1)]
    return ranked


def _area_variance(area: float, count: int, others: int) -> float:
    between = (count + others) / 2 - 1
    spread = 1 + between * ((1 - area) / (2 - area) + area / (1 + area))
    return max(area * (1 - area) * spread / (count * others), 0.0)


def _edge(beyond: Callable[[float], bool], outside: float, inside: float) -> float:
    """Where, between an end and the estimate, values begin that are not ruled out; by bisection."""
    if inside == outside or not beyond(outside):
        return outside
    for _ in range(60):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if beyond(middle) else (outside, middle)
    return inside


def average_precision(positive: npt.NDArray[np.bool_], scores: Floats) -> Estimate:
    """Mean precision over the steps of recall, without interpolation, as scikit-learn's ``average_precision_score``.

    The interval is binomial with as many trials as positives (Boyd, Eng & Page 2013, ECML PKDD), in
    Wilson's form, which has width at 0 and 1.

    Parameters
    ----------
    positive : (N,), some true. scores : (N,), larger for positives; equal ones are one step.

    Raises
    ------
    ValueError : there are no positives.
    """
    count = int(positive.sum())
    if not count:
        raise ValueError("there are no positives")
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.nonzero(np.diff(scores[order]))[0], len(order) - 1)
    found = np.cumsum(positive[order])[ends]
    steps = np.diff(found, prepend=0) / count
    value = min(float((steps * found / (ends + 1)).sum()), 1.0)
    return Estimate(value=value, ci95=stats.wilson(value * count, count))


def calibration_error(
    right: npt.NDArray[np.bool_], confidence: Floats, *, bins: int = BINS, seed: int = 0
) -> Estimate:
    """Expected calibration error: by how much the probability of the answer is off the share of right answers.

    Naeini, Cooper & Hauskrecht 2015 (AAAI), Guo et al. 2017 (arXiv:1706.04599, equation 3): a mean over ``bins`` bins
    of equal width, weighted by their pictures. Few pictures in a bin make the estimate too large, so the interval may
    lie below it.

    The interval is a basic bootstrap (Davison & Hinkley 1997, section 5.2), which takes that bias out where there is an
    error. Where there is none its lower end would lie above 0 for one set of pictures in three: it is 0 where answers
    drawn by the probabilities themselves are as far off (consistency resampling, Bröcker & Smith 2007, Weather and
    Forecasting 22:651-661). The upper end is the larger of the basic one and the percentile with twice the bias off.

    Parameters
    ----------
    right : (N,), whether the answer was right. confidence : (N,), its probability. seed : of the bootstrap.
    """
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count, rng = len(right), np.random.default_rng(seed)

    def error(rows: npt.NDArray[np.intp], truth: npt.NDArray[np.bool_]) -> float:
        return float(np.abs(np.bincount(place[rows], truth - confidence[rows], bins)).sum() / count)

    whole = np.arange(count)
    value = error(whole, right)
    drawn = (rng.integers(0, count, count) for _ in range(DRAWS))
    again = [error(rows, right[rows]) for rows in drawn]
    by_chance = [error(whole, rng.random(count) < confidence) for _ in range(DRAWS)]
    lower, upper = np.quantile(again, [0.025, 0.975])
    low = 0.0 if value <= np.quantile(by_chance, 0.975) else max(2 * value - float(upper), 0.0)
    high = max(2 * value - float(lower), float(upper) - 2 * (float(np.mean(again)) - value), 0.0)
    return Estimate(value=value, ci95=(low, high))
