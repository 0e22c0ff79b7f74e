"""When an engine was slower than usual in a long run, and when the host was not its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from edgetl.bench import throttle
from edgetl.types import Record

__all__ = ["Period", "Second", "periods"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SLOWER = 0.10
"""A second is slow beyond this share of the usual: less is no throttling that a user would feel ..."""
SPREADS = 6.0
"""... and beyond so many standard deviations of one second beside the next."""
LEAST_SECONDS = 3
"""A period is that long at least: a shorter one is a hiccup, which p99 shows."""
COLD_SECONDS = 10
"""In its first seconds no board throttles yet."""
GAP_SECONDS = 1
"""A second that looks usual does not end a period."""
FALLEN, BUSIER, HOTTER_C = 0.95, 0.10, 3.0
"""A clock, a share of the processors and a temperature that differ so much explain a slow period."""


class Second(Record, frozen=True, kw_only=True):
    """One second of a soak.

    Attributes
    ----------
    at_s : when it began. runs : in it.
    p50_ns, mean_ns, max_ns : of them. rss_mib : memory of this process at its end.
    clock_mhz, temperature_c, throttle : of the host at its end; others, stolen : shares of the processors in it.
    """

    at_s: float
    runs: int
    p50_ns: float
    mean_ns: float
    max_ns: int
    rss_mib: float | None = None
    clock_mhz: float | None = None
    temperature_c: float | None = None
    throttle: dict[str, int] | None = None
    others: float | None = None
    stolen: float | None = None


class Period(Record, frozen=True, kw_only=True):
    """A period in which the engine was slower than usual, or the host was not its own.

    Attributes
    ----------
    from_s, to_s : since the soak began. slower : by this share, median over the period; may be below 0.
    is_slow : so much that a user would feel it and chance does not explain it.
    because : what else differed in it, in words; empty where nothing that is read did.
    """

    from_s: float
    to_s: float
    slower: float
    is_slow: bool
    because: str

    def sentence(self) -> str:
        """All of it in words."""
        when, length = f"{_clock(self.from_s)} to {_clock(self.to_s)}", f"{self.to_s - self.from_s:.0f} s"
        if not self.is_slow:
            return f"{when}: {self.because} for {length}, and the engine was hardly slower"
        why = self.because or "nothing that this host shows explains it"
        return f"{when}: {100 * self.slower:.0f} % slower for {length}, {why}"


def periods(seconds: Sequence[Second]) -> list[Period]:
    """Periods in which the engine was slower than it is when left alone, or the host shows what may slow one.

    Of each second its median and its mean are looked at: a processor that clocks down slows every run, one that is
    taken away in slices makes few runs very slow. Their spread is the median absolute difference of neighbours
    (Hampel's identifier, Davies & Gather 1993, J. Am. Stat. Assoc. 88:782-792, on first differences), which the change
    that is looked for does not widen.

    What the host shows has ends of its own, which no noise of the latency moves: such a period is slow by its median
    against that of the other seconds. Outside of those that are slow, seconds that stand out by themselves make one.
    """
    if len(seconds) < 2 * LEAST_SECONDS:
        return []
    sides = [_Side([getattr(one, name) for one in seconds]) for name in ("p50_ns", "mean_ns")]
    disturbed = _disturbed(seconds)
    stands_out = np.any([side.stands_out() for side in sides], axis=0)
    found = []
    for first, end in _runs(disturbed):
        is_slow, slower = max(side.in_run(first, end, ~disturbed) for side in sides)
        found.append((first, end, slower, is_slow))
        if is_slow:
            stands_out[first:end] = False
    above = np.max([side.above for side in sides], axis=0)
    for first, end in _runs(stands_out):
        found.append((first, end, float(np.median(above[first:end][stands_out[first:end]])), True))
    usual = np.flatnonzero(~stands_out & ~disturbed).tolist()
    told = [
        Period(
            from_s=seconds[first].at_s,
            to_s=seconds[end].at_s if end < len(seconds) else seconds[-1].at_s + 1,
            slower=slower,
            is_slow=is_slow,
            because=_because(seconds, first, end, usual),
        )
        for first, end, slower, is_slow in sorted(found)
    ]
    return [one for one in told if one.is_slow or one.because]


class _Side:
    """One statistic of every second, in units of what is usual.

    The usual value is the lower quartile of the seconds', or that of the first ones where it is lower: a board that
    throttles once it is warm spends most of a soak slow.

    Attributes
    ----------
    above : by what share each second is above the usual.
    """

    def __init__(self, values: Sequence[float]) -> None:
        x = np.asarray(values, dtype=np.float64)
        usual = max(min(float(np.quantile(x, 0.25)), float(np.median(x[:COLD_SECONDS]))), 1.0)
        self.above: Floats = x / usual - 1
        self._chance = float(np.median(np.abs(np.diff(x)))) / _NEIGHBOURS / usual

    def stands_out(self) -> Bools:
        """Seconds that are slower than chance explains and than nobody would feel."""
        found: Bools = self.above > max(SLOWER, SPREADS * self._chance)
        return found

    def in_run(self, first: int, end: int, rest: Bools) -> tuple[bool, float]:
        """Whether the median of some seconds is above that of the rest by what counts, and by what share.

        Where hardly a second is left, against the usual value.
        """
        level = 1 + float(np.median(self.above[rest])) if rest.sum() >= LEAST_SECONDS else 1.0
        slower = (1 + float(np.median(self.above[first:end]))) / level - 1
        return slower > max(SLOWER, SPREADS * self._chance / math.sqrt(end - first)), slower


_NEIGHBOURS = 0.9539
"""Median absolute difference of two draws of a normal distribution, in its standard deviations: 0.6745 times root 2."""


def _disturbed(seconds: Sequence[Second]) -> Bools:
    """Seconds, several in a row, in which the host shows what slows an engine."""
    shown = np.zeros(len(seconds), dtype=bool)
    for name in ("others", "stolen"):
        shares = _known(seconds, name)
        shown |= shares > _quantile(shares, 0.25) + BUSIER
    clocks = _known(seconds, "clock_mhz")
    shown |= clocks < FALLEN * np.fmax(_quantile(clocks, 0.75), _quantile(clocks[:COLD_SECONDS], 0.5))
    for k, (before, after) in enumerate(pairwise(seconds), start=1):
        shown[k] |= bool(throttle.risen(before.throttle, after.throttle))
    disturbed = np.zeros_like(shown)
    for first, end in _runs(shown):
        disturbed[first:end] = True
    return disturbed


def _runs(marked: Bools) -> list[tuple[int, int]]:
    """First index and the one behind the last of each run of true that is long enough, short gaps bridged."""
    found: list[tuple[int, int]] = []
    for place in np.flatnonzero(marked).tolist():
        if found and place - found[-1][1] <= GAP_SECONDS:
            found[-1] = (found[-1][0], place + 1)
        else:
            found.append((place, place + 1))
    return [(first, end) for first, end in found if marked[first:end].sum() >= LEAST_SECONDS]


def _because(seconds: Sequence[Second], first: int, end: int, usual: Sequence[int]) -> str:
    """What else was different in the period, next to the usual seconds."""
    period = seconds[first:end]
    rest = [seconds[k] for k in usual]
    told = []
    for name, words in (
        ("others", "other processes took {:.0f} % of the processors"),
        ("stolen", "the hypervisor took {:.0f} % of the processors"),
    ):
        then, now = _median(rest, name), _median(period, name)
        if then is not None and now is not None and now > then + BUSIER:
            told.append(words.format(100 * now))
    then, now = _median(rest, "clock_mhz"), _median(period, "clock_mhz")
    if then and now and now < FALLEN * then:
        told.append(f"the clock fell from {then:.0f} to {now:.0f} MHz")
    then, now = _median(rest, "temperature_c"), _median(period, "temperature_c")
    if then is not None and now is not None and now > then + HOTTER_C:
        told.append(f"at {now:.0f} C, {then:.0f} C otherwise")
    signs = throttle.risen(seconds[max(first - 1, 0)].throttle, period[-1].throttle)
    if signs:
        told.append(f"throttling counted by {', '.join(signs)}")
    return ", ".join(told)


def _median(seconds: Sequence[Second], name: str) -> float | None:
    middle = _quantile(_known(seconds, name), 0.5)
    return None if np.isnan(middle) else middle


def _known(seconds: Sequence[Second], name: str) -> Floats:
    """A field of every second; NaN, which no comparison is true of, where the host does not tell it."""
    return np.array([getattr(one, name) for one in seconds], dtype=np.float64)


def _quantile(values: Floats, share: float) -> float:
    known = values[~np.isnan(values)]
    return float(np.quantile(known, share)) if len(known) else math.nan


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
