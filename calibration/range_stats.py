"""Statistics of one tensor over many samples: one pass, and memory that does not grow with the samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import gcd
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgetl.errors import InputError

__all__ = ["COUNTED", "HALF", "SCHEMA", "RangeStats", "Seen", "look", "merged", "stride"]

SCHEMA = 3
HALF = 2048
"""Bins on each side of zero: a range is seen with 1024 to 2048 bins, 4 to 8 for each step of 8 bits."""
COUNTED = 2048
"""Values of one sample that are counted into bins: more moved no range that mattered, and cost as much as running
the network."""
_FINEST = -120
_BLOCK = 1 << 24

FloatArray = npt.NDArray[np.float32]


class Seen(NamedTuple):
    """What a look at an array of samples showed.

    Attributes
    ----------
    lows, highs : (N, C), smallest and largest value of each sample and channel; NaN where a sample has it.
    counted : (N, M), the values of each sample that a histogram counts.
    size : values of a sample.
    """

    lows: FloatArray
    highs: FloatArray
    counted: FloatArray
    size: int


class RangeStats:
    """What a stream of arrays looked like.

    Extremes and per-channel magnitudes are of every value. The histogram counts up to ``COUNTED`` values of each
    sample, every k-th with a k that has no factor in common with their number, so that no channel, row or column is
    passed over.

    Bins have a width of ``2**exponent`` and begin at multiples of it. When a value falls outside, neighbours
    are merged, and merged bins are exactly the bins of the larger width; the final width depends on the largest
    magnitude alone. So count, extremes, per-channel magnitudes and histogram depend neither on the order of the
    samples nor on how they were split into arrays. (Exact as long as the smallest nonzero magnitude is above
    ``2**-100`` of the largest.) Only ``mean_extremes`` is a float64 sum, exact to rounding.

    Parameters
    ----------
    histogram : count values into bins; without it an update costs two passes for the extremes.

    Attributes
    ----------
    samples : entries seen along the first axis. count : values seen.
    low, high : smallest and largest value; infinities of the other sign before the first update.
    exponent : the bins' width is ``2**exponent``; ``None`` before the first update.
    bins : (2 * HALF,) int64; bin ``HALF + i`` counts ``i * width <= x < (i + 1) * width``; ``None`` without one.
    channel_absmax : (C,) float32, largest magnitude in each channel (axis 1; the last axis of a matrix).
    """

    def __init__(self, *, histogram: bool = True) -> None:
        self.samples = 0
        self.count = 0
        self.low = np.inf
        self.high = -np.inf
        self.exponent: int | None = None
        self.bins: npt.NDArray[np.int64] | None = np.zeros(2 * HALF, np.int64) if histogram else None
        self.channel_absmax: FloatArray | None = None
        self._low_sum = 0.0
        self._high_sum = 0.0

    def update(self, array: npt.NDArray[Any]) -> None:
        """Add an array of samples, (N, C, ...) or (N, C); anything of lower rank is one sample of one channel.

        Raises
        ------
        InputError : NaN or infinity in it; ``facts["sample"]`` is its number in the stream, from 0.
        """
        self.add(look(array))

    def add(self, seen: Seen) -> None:
        """Add what a look at an array of samples showed.

        Raises
        ------
        InputError : NaN or infinity in it, as for ``update``.
        """
        if not seen.lows.size:
            return
        finite = np.isfinite(seen.lows).all(axis=1) & np.isfinite(seen.highs).all(axis=1)
        if not finite.all():
            sample = self.samples + int(np.argmin(finite))
            raise InputError(f"NaN or infinity in sample {sample}", sample=sample)
        self._extend(seen.lows, seen.highs)
        self.samples += len(seen.lows)
        self.count += len(seen.lows) * seen.size
        if self.bins is not None:
            self._widen(_exponent(max(-self.low, self.high)))
            self._fill(seen.counted)

    def merge(self, other: RangeStats) -> None:
        """Add what another one saw: as if its arrays had come after this one's.

        Raises
        ------
        ValueError : only one of the two has a histogram, or the number of channels differs.
        """
        if (self.bins is None) != (other.bins is None):
            raise ValueError("only one of the two has a histogram")
        if not other.count:
            return
        self._merge_channels(other.channel_absmax)
        self.samples += other.samples
        self.count += other.count
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self._low_sum += other._low_sum
        self._high_sum += other._high_sum
        if self.bins is not None and other.bins is not None and other.exponent is not None:
            self._widen(other.exponent)
            assert self.exponent is not None
            self.bins += _wider(other.bins, self.exponent - other.exponent)

    @property
    def mean_extremes(self) -> tuple[float, float]:
        """Mean over the samples of each sample's smallest and largest value."""
        return self._low_sum / self.samples, self._high_sum / self.samples

    @property
    def width(self) -> float:
        """Width of a bin, in the tensor's unit."""
        return 0.0 if self.exponent is None else float(np.ldexp(1.0, self.exponent))

    def _extend(self, lows: FloatArray, highs: FloatArray) -> None:
        self._merge_channels(np.maximum(-lows, highs).max(axis=0))  # first: it may refuse
        self.low = min(self.low, float(lows.min()))
        self.high = max(self.high, float(highs.max()))
        self._low_sum += float(lows.min(axis=1).sum(dtype=np.float64))
        self._high_sum += float(highs.max(axis=1).sum(dtype=np.float64))

    def _merge_channels(self, absmax: FloatArray | None) -> None:
        if self.channel_absmax is None or absmax is None:
            self.channel_absmax = absmax if self.channel_absmax is None else self.channel_absmax
            return
        if self.channel_absmax.shape != absmax.shape:
            raise ValueError(f"{absmax.size} channels after {self.channel_absmax.size}")
        self.channel_absmax = np.maximum(self.channel_absmax, absmax)

    def _widen(self, exponent: int) -> None:
        """Merge bins until they are at least ``2**exponent`` wide."""
        if self.exponent is None:
            self.exponent = exponent
        elif exponent > self.exponent:
            assert self.bins is not None
            self.bins = _wider(self.bins, exponent - self.exponent)
            self.exponent = exponent

    def _fill(self, counted: FloatArray) -> None:
        assert self.bins is not None and self.exponent is not None
        numbers = counted * np.float32(np.ldexp(1.0, -self.exponent))  # exact: a power of two
        places = np.floor(numbers, out=numbers).astype(np.intp).ravel() + HALF
        self.bins += np.bincount(places, minlength=2 * HALF)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Plain numeric arrays that ``from_arrays`` reads; only the occupied bins are kept."""
        facts = [self.low, self.high, self._low_sum, self._high_sum]
        kept = {
            "schema": np.array(SCHEMA),
            "counts": np.array([self.samples, self.count], np.int64),
            "facts": np.array(facts, np.float64),
        }
        if self.channel_absmax is not None:
            kept["channel_absmax"] = self.channel_absmax
        if self.bins is not None:
            used = np.flatnonzero(self.bins)
            first, last = (int(used[0]), int(used[-1]) + 1) if used.size else (HALF, HALF)
            kept["bins"] = self.bins[first:last]
            kept["place"] = np.array([first, -1000 if self.exponent is None else self.exponent], np.int64)
        return kept

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> RangeStats:
        """The statistics that ``to_arrays`` wrote.

        Raises
        ------
        InputError : another schema, or arrays that cannot be such statistics.
        """
        schema = int(arrays["schema"]) if "schema" in arrays else None
        if schema != SCHEMA:
            raise InputError(f"statistics have schema {schema}, this version reads {SCHEMA}")
        try:
            made = cls(histogram="bins" in arrays)
            made.samples, made.count = (int(n) for n in arrays["counts"])
            made.low, made.high, made._low_sum, made._high_sum = (float(x) for x in arrays["facts"])
            made.channel_absmax = arrays.get("channel_absmax")
            if made.bins is not None:
                first, exponent = (int(n) for n in arrays["place"])
                made.bins[first : first + arrays["bins"].size] = arrays["bins"]
                made.exponent = None if exponent == -1000 else exponent
        except (KeyError, ValueError) as error:
            raise InputError(f"statistics are damaged: {error}") from error
        return made


def merged(parts: Iterable[RangeStats]) -> RangeStats:
    """One that saw what all of the parts saw.

    Raises
    ------
    ValueError : there is no part, or they do not merge.
    """
    first, *others = parts
    made = RangeStats(histogram=first.bins is not None)
    for part in (first, *others):
        made.merge(part)
    return made


def look(array: npt.NDArray[Any]) -> Seen:
    """Look at samples, (N, C, ...), (N, tokens, C) or (N, C); anything of lower rank is one sample of one channel."""
    values = np.ascontiguousarray(array, dtype=np.float32)
    if values.ndim < 2:
        values = values.reshape(1, 1, 1, -1)
    inner = (1,) if values.ndim == 3 else tuple(range(2, values.ndim))
    samples = values.reshape(len(values), -1)
    size = samples.shape[1]
    if not values.size:
        return Seen(samples[:, :0], samples[:, :0], samples, 0)
    every = stride(size)
    return Seen(values.min(axis=inner), values.max(axis=inner), samples[:, every // 2 :: every], size)


def stride(size: int) -> int:
    """Every how many-th of a sample's values is counted."""
    step = max(-(-size // COUNTED), 1)
    while gcd(step, size) > 1:
        step += 1
    return step


def _exponent(magnitude: float) -> int:
    """The smallest width, as a power of two, with which HALF bins reach beyond ``magnitude``."""
    above = int(np.frexp(magnitude)[1]) if magnitude > 0 else _FINEST  # magnitude < 2**above
    return max(above - (HALF.bit_length() - 1), _FINEST)


def _wider(bins: npt.NDArray[np.int64], doublings: int) -> npt.NDArray[np.int64]:
    """The same counts in bins that are ``2**doublings`` as wide."""
    together = min(1 << doublings, HALF) if doublings < HALF.bit_length() else HALF
    if together == 1:
        return bins
    reach = HALF // together
    wider = np.zeros_like(bins)
    wider[HALF - reach : HALF + reach] = bins.reshape(-1, together).sum(axis=1)
    return wider
