"""Looking again and again at a growing sample, without more false alarms than one look would have.

Looks are fixed beforehand, at 8, 12, 18, 27, ... pairs. Each side of the answer may be wrong with a chance of 2.5 %
over all looks together, of which a look at ``n`` pairs has spent ``2.5 % * n / (n + 32)`` at most: an error-spending
function (Lan & DeMets 1983, Biometrika 70:659-663) without a last look, so that the time budget may end the course
anywhere. What a look may spend is what its predecessors left, by Bonferroni's inequality: that ignores how alike
successive looks are, costs about a third more pairs than the exact bounds of normal data, and holds for any data. The
tests are exact rank tests, so it holds for few pairs too. The interval of each look is a repeated confidence interval
(Jennison & Turnbull 1989, J. R. Stat. Soc. B 51:305-361): with 95 % chance the truth is in all of them at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from statistics import NormalDist
from typing import Protocol

from edgetl import ranks, stats
from edgetl.types import Record

__all__ = ["FIRST", "MISS", "Course", "Look", "Paired", "Sample", "Unpaired", "half_width", "looks"]

MISS = 0.025
"""Chance of a wrong answer on either side, over all looks."""
FIRST = 8
"""Pairs at the first look: of fewer, no test is as strict as it must be."""
GROWTH = 1.5
HALF_SPENT = 32
"""So many pairs have spent half of ``MISS``: about what a usual gate takes."""


class Sample(Protocol):
    """Log ratios of candidate to baseline, or what they are made of."""

    def centre(self) -> float:
        """The log ratio itself."""

    def bounds(self, miss: float) -> tuple[float, float] | None:
        """Its bounds, each missing it with at most a chance of ``miss``; ``None`` where there is too little."""

    def p_above(self, limit: float) -> float:
        """Chance of such a sample, or a larger one, if the log ratio were ``limit``."""


@dataclass(frozen=True)
class Paired:
    """One log ratio a pair of instances that took turns."""

    values: Sequence[float]

    def centre(self) -> float:
        """Hodges-Lehmann centre."""
        return stats.hodges_lehmann(self.values)

    def bounds(self, miss: float) -> tuple[float, float] | None:
        """Those of Wilcoxon's signed ranks."""
        return ranks.signed_rank_bounds(self.values, miss)

    def p_above(self, limit: float) -> float:
        """That of Wilcoxon's signed ranks."""
        return ranks.signed_rank_p(self.values, limit)


@dataclass(frozen=True)
class Unpaired:
    """Log times of instances now, and of instances that were stored."""

    values: Sequence[float]
    stored: Sequence[float]

    def centre(self) -> float:
        """Hodges-Lehmann shift: the median of all differences."""
        return stats.quantile([mine - other for mine in self.values for other in self.stored], 0.5)

    def bounds(self, miss: float) -> tuple[float, float] | None:
        """Those of rank sums."""
        return ranks.rank_sum_bounds(self.values, self.stored, miss)

    def p_above(self, limit: float) -> float:
        """That of rank sums."""
        return ranks.rank_sum_p(self.values, self.stored, limit)


class Look(Record, frozen=True, kw_only=True):
    """What one look saw.

    Attributes
    ----------
    pairs : drawn until then. miss : what each side of this look may be wrong by.
    ratio, interval : candidate over baseline; ``interval`` is ``None`` where so few pairs have none at ``miss``.
    p : chance of such a candidate, or a slower one, if it were slower by the tolerance exactly; of this look alone.
    """

    pairs: int
    miss: float
    ratio: float
    interval: tuple[float, float] | None
    p: float


class Course:
    """The looks of one gate, and what they say.

    Parameters
    ----------
    tolerance : share by which the candidate may be slower.
    models : gates that share the chance of a false FAIL; this one stops for a FAIL at its part of it.
    """

    def __init__(self, tolerance: float, models: int = 1) -> None:
        self._limit = math.log1p(tolerance)
        self._models = models
        self._schedule = looks()
        self._spent = 0.0
        self.next = next(self._schedule)
        self.p = 1.0
        self.looks: list[Look] = []

    def look(self, sample: Sample) -> None:
        """Look at the pairs that the schedule says: ``next`` of them."""
        spent = _spent(self.next)
        share, self._spent = spent - self._spent, spent
        bounds, p = sample.bounds(MISS * share), sample.p_above(self._limit)
        self.p = min(self.p, p / share)
        self.looks.append(
            Look(
                pairs=self.next,
                miss=MISS * share,
                ratio=math.exp(sample.centre()),
                interval=None if bounds is None else (math.exp(bounds[0]), math.exp(bounds[1])),
                p=p,
            )
        )
        self.next = next(self._schedule)

    @property
    def slower(self) -> bool:
        """Some interval lay above the tolerance, also at the level that several models leave to each."""
        return self.p <= MISS / self._models

    @property
    def held(self) -> bool:
        """The last interval lies below the tolerance."""
        last = self.looks[-1].interval if self.looks else None
        return last is not None and last[1] < math.exp(self._limit)


def looks() -> Iterator[int]:
    """Numbers of pairs to look at, without end.

    >>> from itertools import islice
    >>> list(islice(looks(), 8))
    [8, 12, 18, 27, 41, 62, 93, 140]
    """
    return accumulate(repeat(GROWTH), lambda pairs, growth: math.ceil(pairs * growth), initial=FIRST)


def half_width(spread: float, pairs: int) -> float:
    """Half the width, as a share, that the interval will have when so many pairs are drawn, about.

    Parameters
    ----------
    spread : standard deviation of the log ratio of a pair.
    pairs : the last look that fits into them counts, the first where none does. The signed ranks of normal data are
        95 % as efficient as their mean.
    """
    at, before = FIRST, 0
    for look in looks():
        if look > max(pairs, FIRST):
            break
        at, before = look, at if look > FIRST else 0
    miss = MISS * (_spent(at) - _spent(before))
    return math.expm1(-NormalDist().inv_cdf(miss) * spread / math.sqrt(0.955 * at))


def _spent(pairs: int) -> float:
    return pairs / (pairs + HALF_SPENT)
