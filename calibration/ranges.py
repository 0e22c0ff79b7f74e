"""Ranges from statistics: pure functions ``RangeStats -> (low, high)``, in the tensor's unit.

Every range lies inside what was seen, extended to hold zero. ``find`` maps a method's name to its function.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
from edgetl.calibration.range_stats import HALF, RangeStats

from edgetl.errors import InputError, did_you_mean

__all__ = [
    "DEFAULT",
    "METHODS",
    "average",
    "entropy",
    "find",
    "minmax",
    "mse",
    "needs_histogram",
    "percentile",
]

Range = tuple[float, float]
FloatArray = npt.NDArray[np.float64]

_SHRINKS = np.linspace(0.2, 1.0, 81)
"""Candidate ranges, as fractions of what was seen, for the two searches."""
_COARSE = np.linspace(0.25, 1.0, 16)
_BLOCK = 1 << 16
"""Candidates times bins that are held at once: what stays in the processor's cache."""


def minmax(stats: RangeStats, *, symmetric: bool = False) -> Range:
    """The extremes."""
    _check(stats, histogram=False)
    return min(stats.low, 0.0), max(stats.high, 0.0)


def average(stats: RangeStats, *, symmetric: bool = False) -> Range:
    """The mean of each sample's extremes: what is extreme in one sample alone does not set the range.

    NNCF's default range estimator for activations (minimum and maximum of a sample, mean over the samples).
    """
    _check(stats, histogram=False)
    low, high = stats.mean_extremes
    return min(low, 0.0), max(high, 0.0)


def percentile(stats: RangeStats, *, symmetric: bool = False, percent: float = 99.99) -> Range:
    """The range that holds ``percent`` of the values, with as many cut off below as above.

    Wu et al. 2020 (arXiv:2004.09602), section 3.2. Ends are edges of the histogram's bins.
    """
    bins = _check(stats)
    below = np.cumsum(bins)
    total = int(below[-1])
    cut = (1.0 - percent / 100.0) / 2.0 * total
    first = int(np.searchsorted(below, cut, side="right"))
    last = int(np.searchsorted(below, total - cut, side="left"))
    low, high = (first - HALF) * stats.width, (last + 1 - HALF) * stats.width
    return min(max(low, stats.low), 0.0), max(min(high, stats.high), 0.0)


def entropy(stats: RangeStats, *, symmetric: bool = False) -> Range:
    """The range whose 8-bit version loses least information: least Kullback-Leibler divergence.

    Migacz, "8-bit Inference with TensorRT" (GTC 2017): values beyond the range count as its last bins in the
    reference; the quantized distribution spreads each level evenly over its occupied bins. Candidates shrink
    both ends by one factor, so that it serves asymmetric ranges too. The bin of zero counts as its larger
    neighbour: integers hold zero exactly, and the spike that a Relu puts there would otherwise be "spread evenly"
    over a level and drown everything else.
    """
    bins = _check(stats).astype(np.float64)
    bins[HALF] = min(bins[HALF], max(bins[HALF - 1], bins[HALF + 1]))
    low, high = _seen(stats, symmetric)
    levels = 128 if symmetric and low == 0.0 else 256  # a symmetric range spends half on what is below zero
    losses = [_divergence(bins, low * s / stats.width, high * s / stats.width, levels) for s in _SHRINKS]
    best = float(_SHRINKS[_last_least(losses)])
    return low * best, high * best


def mse(stats: RangeStats, *, symmetric: bool = False) -> Range:
    """The range with the least mean squared error after rounding to 256 levels and clipping.

    Both ends are searched on a grid (Banner et al. 2019, arXiv:1810.05723, solve it for assumed
    distributions; here the distribution is the histogram, each value at the centre of its bin). Where both are free,
    a coarse grid is judged by their formula, the finer one around its best by rounding every bin.
    """
    bins = _check(stats)
    used = np.flatnonzero(bins)
    weights = bins[used].astype(np.float64)
    centres = np.clip((used - HALF + 0.5) * stats.width, stats.low, stats.high)
    low, high = _seen(stats, symmetric)
    if low == high:
        return 0.0, 0.0

    def best(lows: FloatArray, highs: FloatArray) -> Range:
        errors = _squared_errors(centres, weights, lows, highs, symmetric=symmetric)
        at = _last_least(errors.tolist())
        return float(lows[at]), float(highs[at])

    if symmetric or low == 0.0 or high == 0.0:
        return best(low * _SHRINKS, high * _SHRINKS)
    lows, highs = (grid.ravel() for grid in np.meshgrid(low * _COARSE, high * _COARSE, indexing="ij"))
    at = int(np.argmin(_expected_errors(centres, weights, lows, highs)))
    near_low, near_high = float(lows[at]), float(highs[at])
    fine = np.linspace(-0.05, 0.05, 9)
    lows, highs = (
        grid.ravel()
        for grid in np.meshgrid(
            np.clip(near_low + low * fine, low, 0.0),
            np.clip(near_high + high * fine, 0.0, high),
            indexing="ij",
        )
    )
    return best(np.append(lows, low), np.append(highs, high))


METHODS: dict[str, Callable[..., Range]] = {
    "minmax": minmax,
    "average": average,
    "percentile": percentile,
    "percentile-99.999": partial(percentile, percent=99.999),
    "entropy": entropy,
    "mse": mse,
}
DEFAULT = "mse"


def find(method: str) -> Callable[..., Range]:
    """The function of a method's name; ``default`` is the one that measured best.

    Raises
    ------
    InputError : there is none of that name.
    """
    name = DEFAULT if method == "default" else method
    if name not in METHODS:
        raise InputError(
            f"no calibration method {method!r}." + did_you_mean(method, METHODS),
            hint=f"one of default, {', '.join(METHODS)}",
        )
    return METHODS[name]


def needs_histogram(method: str) -> bool:
    """Whether the method reads the histogram, or the extremes alone."""
    return find(method) not in (minmax, average)


def _check(stats: RangeStats, *, histogram: bool = True) -> npt.NDArray[np.int64]:
    if not stats.count:
        raise InputError("no sample was seen")
    if histogram and stats.bins is None:
        raise InputError(
            "these statistics hold extremes alone, and the method reads a histogram",
            hint="calibrate again with that method, or use minmax or average",
        )
    return stats.bins if stats.bins is not None else np.zeros(0, np.int64)


def _seen(stats: RangeStats, symmetric: bool) -> Range:
    low, high = minmax(stats)
    if symmetric and low < 0.0:
        reach = max(-low, high)
        return -reach, reach
    return low, high


def _last_least(losses: list[float]) -> int:
    """Index of the least loss; the last one of equals, which is the widest range."""
    return len(losses) - 1 - int(np.argmin(losses[::-1]))


def _expected_errors(
    centres: FloatArray, weights: FloatArray, lows: FloatArray, highs: FloatArray
) -> FloatArray:
    """Sum of squared errors over the histogram, for each candidate range, (K,), if rounding errors are uniform.

    What is clipped errs by its distance from the range, what is inside by ``step**2 / 12`` on average: Banner et al.
    2019, arXiv:1810.05723, section 3. Moments up to a bin tell the first for all candidates at once.
    """
    moments = [np.concatenate([[0.0], np.cumsum(weights * centres**power)]) for power in range(3)]
    first, end = np.searchsorted(centres, lows), np.searchsorted(centres, highs, side="right")
    below = [moment[first] for moment in moments]
    above = [moment[-1] - moment[end] for moment in moments]
    clipped = sum(
        part[2] - 2 * edge * part[1] + edge**2 * part[0] for part, edge in ((below, lows), (above, highs))
    )
    inside = moments[0][end] - moments[0][first]
    errors: FloatArray = clipped + inside * ((highs - lows) / 255) ** 2 / 12
    return errors


def _squared_errors(
    centres: FloatArray, weights: FloatArray, lows: FloatArray, highs: FloatArray, *, symmetric: bool
) -> FloatArray:
    """Sum of squared errors over the histogram, for each candidate range as ``affine`` divides it; (K,).

    In float32, which tells two candidates apart as well, and takes half of the time.
    """
    low, high, centre, weight = (a.astype(np.float32) for a in (lows, highs, centres, weights))
    steps = (np.maximum(-low, high) / 127 if symmetric else (high - low) / 255)[:, None]
    least = np.full_like(steps, -127) if symmetric else -np.rint(-low[:, None] / steps)
    most = np.full_like(steps, 127) if symmetric else 255 + least
    errors = np.empty(low.size)
    rows = max(_BLOCK // centre.size, 1)
    for start in range(0, low.size, rows):
        part = slice(start, start + rows)
        off = centre / steps[part]
        np.rint(off, out=off)
        np.clip(off, least[part], most[part], out=off)
        off *= steps[part]
        off -= centre
        errors[part] = np.square(off, out=off) @ weight
    return errors


def _divergence(bins: FloatArray, low: float, high: float, levels: int) -> float:
    """KL divergence of the clipped histogram from its version in ``levels``; ends in units of bins."""
    first, last = HALF + int(np.floor(low)), HALF + max(int(np.ceil(high)), int(np.floor(low)) + 1)
    last = min(last, bins.size)
    inside = bins[first:last]
    reference = inside.copy()
    reference[0] += bins[:first].sum()
    reference[-1] += bins[last:].sum()
    level = np.arange(inside.size) * levels // inside.size
    mass = np.bincount(level, weights=inside, minlength=levels)
    occupied = np.bincount(level, weights=inside > 0, minlength=levels)
    spread = np.where(inside > 0, (mass / np.maximum(occupied, 1))[level], 0.0)
    total = spread.sum()
    if total == 0.0:
        return float("inf")
    p, q = reference / reference.sum(), spread / total
    seen = p > 0
    if np.any(q[seen] == 0):  # an end that only clipped values occupy
        q = np.where(seen & (q == 0), 1e-12, q)
    return float(np.sum(p[seen] * np.log(p[seen] / q[seen])))
