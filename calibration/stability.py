"""How far ranges would move if other samples had been drawn.

Samples are dealt into groups as they come, each group has statistics of its own, and the range that half of the groups
give is held against the range that all give. Over half-samples that difference spreads as the range itself does over
draws of all the samples: the delete-half jackknife (Shao and Wu 1989, Annals of Statistics 17:1176), which holds for
quantiles too, where leaving out one at a time fails. The halves are balanced (McCarthy 1969, Review of the
International Statistical Institute 37:239): any two groups are together in as many of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from edgetl.calibration.range_stats import RangeStats, merged

__all__ = ["GROUPS", "deal", "movement"]

GROUPS = 8
_SEED = 0
_HALVES = [
    [column for column in range(GROUPS) if (row & column).bit_count() % 2 == row % 2]
    for row in range(1, GROUPS)
]
"""Columns of one sign in each row of a Hadamard matrix but the first; the sign alternates: no group is in all."""


def deal() -> Iterator[int]:
    """The group of each sample in turn, without end.

    Each run of ``GROUPS`` samples has one in every group. All but the first run are shuffled, for samples often come in
    a pattern (the classes by turns), and groups that each saw other classes would differ more than draws do.
    """
    rng = np.random.default_rng(_SEED)
    yield from range(GROUPS)
    while True:
        yield from rng.permutation(GROUPS).tolist()


def movement(
    groups: Sequence[RangeStats], method: Callable[[RangeStats], tuple[float, float]]
) -> float | None:
    """How far the range would be from that of another draw of as many samples, as a share of its width.

    The root of the mean square, of the end that moves more. Two draws differ by ``sqrt(2)`` standard errors.

    Parameters
    ----------
    groups : ``GROUPS`` of them, filled as ``deal`` says.
    method : of ``ranges``.

    Returns
    -------
    The share; ``None`` where a group has no sample.
    """
    if not all(group.count for group in groups):
        return None
    low, high = method(merged(groups))
    if low == high:
        return 0.0
    halves = np.array([method(merged(groups[place] for place in half)) for half in _HALVES])
    errors = np.sqrt(np.square(halves - (low, high)).mean(axis=0))
    return math.sqrt(2.0) * float(errors.max()) / (high - low)
