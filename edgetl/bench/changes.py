"""Where a series of results changed for good: E-divisive means.

Matteson & James 2014, "A nonparametric approach for multiple change point analysis of multivariate data", J. Am. Stat.
Assoc. 109:334-345 (arXiv:1306.4933), with the exponent 1. Daly et al. 2020 (arXiv:2003.00584) is how well it finds
regressions in a continuous build: it takes neither a normal distribution nor equal spread, and an outlier is no change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

__all__ = ["LEAST", "change_points"]

Floats = npt.NDArray[np.float64]

LEAST = 2
"""A part has so many results at least: the statistic takes distances within it."""
PERMUTATIONS = 399
"""The smallest p-value is 1 in 400; five results on either side of a step reach one of 2 in 252."""


def change_points(values: Sequence[float], *, level: float = 0.02, seed: int = 0) -> list[int]:
    """The first index of each part after a change, ascending; none where the series is one part.

    Parts are cut in two, the clearest first, for as long as a permutation test rejects that nothing changed.

    Parameters
    ----------
    values : finite numbers, in the order in which they were measured.
    level : of each test; the first is held, so a series without a change has one found in it that often at most.
    seed : of the permutations, so that the same series has the same answer.

    Raises
    ------
    ValueError : a value is NaN or infinite.

    >>> change_points([1.0, 1.1, 1.0, 1.1, 1.0, 2.0, 2.1, 2.0, 2.1, 2.0])
    [5]
    """
    series = np.asarray(values, dtype=np.float64)
    if not np.isfinite(series).all():
        raise ValueError("expected finite values")
    rng = np.random.default_rng(seed)
    cuts = [0, len(series)]
    while True:
        parts = [series[first:end] for first, end in pairwise(cuts)]
        best = [_best_cut(part) for part in parts]
        widest = max(range(len(parts)), key=lambda place: best[place][0])
        statistic, inside = best[widest]
        if statistic <= 0 or not _is_clear(parts, statistic, level, rng):
            return cuts[1:-1]
        cuts = sorted([*cuts, cuts[widest] + inside])


def _is_clear(parts: Sequence[Floats], statistic: float, level: float, rng: np.random.Generator) -> bool:
    """Whether the parts, each shuffled in itself, seldom have a cut as clear: the p-value is at most ``level``."""
    allowed = math.floor(level * (1 + PERMUTATIONS)) - 1
    as_clear = 0
    for _ in range(PERMUTATIONS):
        as_clear += max(_best_cut(rng.permutation(part))[0] for part in parts) >= statistic
        if as_clear > allowed:  # the other permutations cannot change the answer
            return False
    return True


def _best_cut(part: Floats) -> tuple[float, int]:
    """The largest scaled energy distance between what is before a cut and what follows, and the cut.

    What follows may end before the part does (the paper's kappa), so that a second change does not hide the first.
    """
    n = len(part)
    if n < 2 * LEAST:
        return 0.0, 0
    sums = np.zeros((n + 1, n + 1))  # of the distances in a corner of the matrix of them
    sums[1:, 1:] = np.abs(part[:, None] - part[None, :]).cumsum(axis=0).cumsum(axis=1)
    within = np.diagonal(sums)
    cut, end = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    before, after = cut, end - cut
    between = sums - within[:, None]
    later = within[None, :] - 2 * sums + within[:, None]
    allowed = (before >= LEAST) & (after >= LEAST)
    m, k = np.where(allowed, before, LEAST), np.where(allowed, after, LEAST)
    energy = 2 * between / (m * k) - within[:, None] / (m * (m - 1)) - later / (k * (k - 1))
    scaled = np.where(allowed, energy * m * k / (m + k), 0.0)
    scaled[scaled < 1e-12 * sums[n, n]] = 0.0  # rounding, where nothing differs
    place = int(np.argmax(scaled))
    return float(scaled.flat[place]), place // (n + 1)
