"""Whether runs may be taken for independent draws of one thing: autocorrelation and trend, pure functions.

An interval from order statistics takes both for granted. Ranks stand for the values throughout, so that the few wild
runs of every latency neither hide a dependence nor make one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

__all__ = ["block_medians", "effective_size", "kendall_p", "rank", "sen_slope"]

Floats = npt.NDArray[np.float64]
Values = Sequence[float] | Floats


def rank(values: Values) -> Floats:
    """Ranks from 1; equal values share the mean of theirs.

    >>> rank([30.0, 10.0, 10.0]).tolist()
    [3.0, 1.5, 1.5]
    """
    x = np.asarray(values, dtype=np.float64)
    ordered = np.sort(x)
    first = np.searchsorted(ordered, x, side="left")
    last = np.searchsorted(ordered, x, side="right")
    ranks: Floats = (first + last + 1) / 2
    return ranks


def effective_size(values: Values) -> float:
    """How many independent draws would tell as much about the centre as these in their order do.

    ``n`` over the sum of the autocorrelations of the ranks, which is cut where the sums of neighbouring pairs stop
    being positive and falling: the initial monotone sequence of Geyer 1992, Stat. Sci. 7:473-483, section 3.3.

    Returns
    -------
    From 1 to ``n``; ``n`` for fewer than 4 values or for values that are all the same.

    >>> effective_size([1.0, 1.0, 1.0, 1.0])
    4.0
    """
    n = len(values)
    centred = rank(values) - (n + 1) / 2
    power = float(centred @ centred)
    if n < 4 or power == 0:
        return float(n)
    size = 1 << (2 * n - 1).bit_length()  # zeros behind, so that the end does not meet the beginning
    spectrum = np.abs(np.fft.rfft(centred, size)) ** 2
    correlation = np.fft.irfft(spectrum, size)[:n] / power
    pairs = correlation[: n - n % 2].reshape(-1, 2).sum(axis=1)
    ends = np.flatnonzero(pairs <= 0)
    kept = np.minimum.accumulate(pairs[: ends[0]] if len(ends) else pairs)
    return float(n / max(2 * kept.sum() - 1, 1.0))


def kendall_p(values: Values) -> float:
    """Two-sided p-value of the Mann-Kendall test that values in their order neither rise nor fall.

    Mann 1945, Econometrica 13:245-259, with the variance for ties of Kendall 1975, Rank Correlation Methods, section
    4.6, and the continuity correction. It takes independent values: medians of blocks, not runs.

    Returns
    -------
    1.0 for fewer than 4 values.

    >>> round(kendall_p([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), 3)
    0.009
    """
    x = np.asarray(values, dtype=np.float64)
    n = len(x)
    if n < 4:
        return 1.0
    score = float(np.sign(x[None, :] - x[:, None])[np.triu_indices(n, 1)].sum())
    ties = np.unique(x, return_counts=True)[1]
    variance = (n * (n - 1) * (2 * n + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    if variance == 0 or score == 0:
        return 1.0
    return 2 * NormalDist().cdf(-(abs(score) - 1) / math.sqrt(variance))


def sen_slope(values: Values) -> float:
    """Change from one value to the next: the median of the slopes of all pairs.

    Sen 1968, J. Am. Stat. Assoc. 63:1379-1389. Raises ``ValueError`` for fewer than two values.

    >>> sen_slope([1.0, 2.0, 3.0, 4.0, 40.0])
    1.0
    """
    x = np.asarray(values, dtype=np.float64)
    if len(x) < 2:
        raise ValueError(f"expected two values at least, found {len(x)}")
    rows, columns = np.triu_indices(len(x), 1)
    return float(np.median((x[columns] - x[rows]) / (columns - rows)))


def block_medians(values: Values, blocks: int) -> Floats:
    """Medians of so many blocks of neighbours, in order, of equal length but for one run.

    Returns
    -------
    float64 (blocks,), or fewer where there are fewer values.

    >>> block_medians([1.0, 1.0, 5.0, 2.0, 2.0, 9.0], 2).tolist()
    [1.0, 2.0]
    """
    x = np.asarray(values, dtype=np.float64)
    parts = np.array_split(x, max(1, min(blocks, len(x))))
    return np.array([np.median(part) for part in parts if len(part)])
