"""Predicted values: how far off they are, and by how much more a candidate's are; with intervals.

Needs numpy alone, for it is asked on devices too. Intervals are percentiles of a bootstrap over pictures (Efron &
Tibshirani 1993, section 13.3), which are taken for independent.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edgetl import stats
from edgetl.types import Record
from edgetl.verify.accuracy import PairedResult, snr_db

__all__ = ["LEAST_PROOF", "Figure", "Values", "measure", "paired", "pictures_needed"]

Floats = npt.NDArray[np.float64]
DRAWS = 1000
LEAST_PROOF = 30
"""Pictures below which an interval proves nothing: of so few a bootstrap misses the truth up to ten times too often."""


class Figure(Record, frozen=True, kw_only=True):
    """A figure and its 95 % interval."""

    value: float
    ci95: tuple[float, float]

    def said(self) -> str:
        """With as many digits as tell something.

        >>> Figure(value=3.2149, ci95=(2.9, 3.5123)).said()
        '3.215 [2.9, 3.512]'
        """
        return f"{self.value:.4g} [{self.ci95[0]:.4g}, {self.ci95[1]:.4g}]"


class Values(Record, frozen=True, kw_only=True):
    """Of one engine on n pictures.

    Attributes
    ----------
    mae : mean absolute error, in the value's unit.
    r2 : share of the variance that is explained, 1 at best; ``None`` where all true values are the same.
    """

    n: int
    mae: Figure
    r2: Figure | None


def measure(truth: Floats, answers: Floats, seed: int = 0) -> Values:
    """Every figure of an engine.

    Parameters
    ----------
    truth, answers : (N,), N at least 1. seed : of the intervals.
    """
    error = np.abs(answers - truth)

    def r2(rows: npt.NDArray[np.int64]) -> float:
        true, found = truth[rows], answers[rows]
        around = float(np.square(true - true.mean()).sum())
        return 1 - float(np.square(found - true).sum()) / around if around else float("nan")

    whole = r2(np.arange(len(truth)))
    mae = Figure(
        value=float(error.mean()), ci95=_interval(lambda rows: float(error[rows].mean()), len(error), seed)
    )
    known = None if np.isnan(whole) else Figure(value=whole, ci95=_interval(r2, len(error), seed))
    return Values(n=len(truth), mae=mae, r2=known)


def paired(truth: Floats, reference: Floats, candidate: Floats, spread: float, seed: int = 0) -> PairedResult:
    """Two engines' values on the same pictures, in points: a point is one percent of ``spread``.

    So points are for a value what they are for a class: 100 of them are what is lost by not looking at the picture,
    but always answering the median. Accuracies are 1 less the mean error in spreads, and may be below 0.

    Parameters
    ----------
    truth, reference, candidate : (N,), N at least 1.
    spread : mean distance of the values to train on from their median.

    Returns
    -------
    ``lost`` and ``gained`` count pictures on which the candidate is further off, and less far; ``p_value`` is that of
    the sign test.
    """
    before, after = np.abs(reference - truth), np.abs(candidate - truth)
    rise = 100 * (after - before) / spread
    low, high = _interval(lambda rows: float(rise[rows].mean()), len(rise), seed)
    lost, gained = int((rise > 0).sum()), int((rise < 0).sum())
    return PairedResult(
        n=len(truth),
        reference_accuracy=1 - float(before.mean()) / spread,
        candidate_accuracy=1 - float(after.mean()) / spread,
        drop_pt=float(rise.mean()),
        drop_ci95_pt=(low, high),
        lost=lost,
        gained=gained,
        p_value=stats.mcnemar_exact(lost, gained),
        agreement=1.0,
        snr_db=snr_db(
            (reference - truth.mean()).astype(np.float32), (candidate - truth.mean()).astype(np.float32)
        ),
    )


def pictures_needed(result: PairedResult, budget_pt: float) -> int | None:
    """About how many pictures would prove a rise that is inside its budget; ``None`` where none would."""
    room, beyond = budget_pt - result.drop_pt, result.drop_ci95_pt[1] - result.drop_pt
    return None if room <= 0 else max(LEAST_PROOF, int(np.ceil(result.n * (beyond / room) ** 2)))


def _interval(figure: Callable[[npt.NDArray[np.int64]], float], count: int, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    drawn = np.array([figure(rng.integers(0, count, count)) for _ in range(DRAWS)])
    known = drawn[~np.isnan(drawn)]  # a draw of one picture many times has no variance to explain
    low, high = np.quantile(known if len(known) else np.zeros(1), [0.025, 0.975])
    return float(low), float(high)
