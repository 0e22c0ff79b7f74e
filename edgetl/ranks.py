"""Exact rank tests and the intervals that belong to them, at any level.

They assume no distribution. Signed ranks take a symmetric one, which the difference of two draws from one
distribution has by itself; rank sums take two that differ by a shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

__all__ = ["rank_sum_bounds", "rank_sum_p", "signed_rank_bounds", "signed_rank_p", "walsh"]

Floats = npt.NDArray[np.float64]
Values = Sequence[float] | Floats
Interval = tuple[float, float]


def walsh(values: Values) -> Floats:
    """Means of all pairs of values, sorted, a value with itself included; raises ``ValueError`` without values."""
    x = np.asarray(values, dtype=np.float64)
    if x.size == 0:
        raise ValueError("expected at least one value, found none")
    rows, columns = np.triu_indices(x.size)
    means: Floats = np.sort((x[rows] + x[columns]) / 2)
    return means


def signed_rank_bounds(values: Values, miss: float) -> Interval | None:
    """Bounds of the centre of a symmetric distribution, each missing it with at most a chance of ``miss``.

    Order statistics of the pairwise means at the exact Wilcoxon signed-rank quantile (Hollander, Wolfe & Chicken
    2014, Nonparametric Statistical Methods, section 3.3).

    Returns
    -------
    (lower, upper); ``None`` where so few values cannot miss so seldom: it takes ``2 ** -len(values) <= miss``.

    >>> signed_rank_bounds([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0], 0.025)
    (-3.0, 3.0)
    """
    return _between(walsh(values), _signed_rank_cdf(len(values)), miss)


def signed_rank_p(values: Values, centre: float) -> float:
    """Chance of values so far above ``centre``, or farther, if that were the centre they are symmetric about.

    The exact one-sided Wilcoxon signed-rank test, as in ``signed_rank_bounds``: its lower bound lies above
    ``centre`` where this is at most ``miss``. The test of the other side is that of the negated values.

    >>> signed_rank_p([1.0, 2.0, 3.0], 0.0)
    0.125
    """
    below = int((walsh(values) <= centre).sum())
    return float(_signed_rank_cdf(len(values))[below])


def rank_sum_bounds(values: Values, others: Values, miss: float) -> Interval | None:
    """Bounds of the shift of ``values`` above ``others``, each missing it with at most a chance of ``miss``.

    Order statistics of all differences at the exact Mann-Whitney quantile (Hollander, Wolfe & Chicken 2014,
    Nonparametric Statistical Methods, section 4.3).

    Returns
    -------
    (lower, upper); ``None`` where so few values cannot miss so seldom.

    >>> rank_sum_bounds([5.0, 6.0, 7.0, 8.0], [1.0, 2.0, 3.0, 4.0], 0.02)
    (1.0, 7.0)
    """
    return _between(_differences(values, others), _rank_sum_cdf(len(values), len(others)), miss)


def rank_sum_p(values: Values, others: Values, shift: float) -> float:
    """Chance of ``values`` so far above ``others``, or farther, if they were shifted by ``shift`` alone.

    The exact one-sided Mann-Whitney test, as in ``rank_sum_bounds``.

    >>> rank_sum_p([3.0, 4.0], [1.0, 2.0], 0.0)
    0.16666666666666666
    """
    below = int((_differences(values, others) <= shift).sum())
    return float(_rank_sum_cdf(len(values), len(others))[below])


def _between(ordered: Floats, cdf: Floats, miss: float) -> Interval | None:
    rank = int(np.searchsorted(cdf, miss, side="right")) - 1
    return None if rank < 0 else (float(ordered[rank]), float(ordered[-1 - rank]))


def _differences(values: Values, others: Values) -> Floats:
    x, y = np.asarray(values, dtype=np.float64), np.asarray(others, dtype=np.float64)
    if x.size == 0 or y.size == 0:
        raise ValueError(f"expected values on both sides, found {x.size} and {y.size}")
    differences: Floats = np.sort(np.subtract.outer(x, y).ravel())
    return differences


@lru_cache(maxsize=512)
def _signed_rank_cdf(n: int) -> Floats:
    """P(T <= t) for t = 0 .. n(n + 1) / 2: each rank counts or not, at even odds."""
    mass = np.ones(1)
    for rank in range(1, n + 1):
        longer = np.zeros(len(mass) + rank)
        longer[: len(mass)] += mass / 2
        longer[rank:] += mass / 2
        mass = longer
    cdf: Floats = np.minimum(np.cumsum(mass), 1.0)
    return cdf


@lru_cache(maxsize=512)
def _rank_sum_cdf(m: int, n: int) -> Floats:
    """P(U <= u) for u = 0 .. m * n.

    The counts have the Gaussian binomial as their generating function: the product over ``i`` of
    ``(1 - x^(n + i)) / (1 - x^i)`` (Andrews 1976, The Theory of Partitions, section 3.2). Each factor is divided by its
    own value at 1, ``(n + i) / i``, so that the masses sum to 1.
    """
    mass = np.zeros(m * n + 1)
    mass[0] = 1.0
    for i in range(1, m + 1):
        times = mass.copy()
        if n + i <= m * n:
            times[n + i :] -= mass[: -(n + i)]
        for place in range(i, len(times)):
            times[place] += times[place - i]
        mass = times * i / (n + i)
    cdf: Floats = np.minimum(np.cumsum(np.maximum(mass, 0.0)), 1.0)
    return cdf
