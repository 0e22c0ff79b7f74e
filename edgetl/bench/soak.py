"""Hours in minutes: latency by the minute, throttled periods, growing memory, and one verdict.

Every second leaves one row: the order statistics of its runs and the state of the host. Samples themselves are kept
for the running minute only, so that the memory that is watched is the engine's and not ours.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl import stats
from edgetl.bench import activity, context, drift, harness, sysfs, throttle
from edgetl.bench import clock as clocks
from edgetl.bench.activity import Activity
from edgetl.bench.clock import Clock
from edgetl.bench.measurement import Percentiles, percentiles_ms
from edgetl.bench.slow import Period, Second, periods
from edgetl.errors import InputError
from edgetl.types import Record

__all__ = ["Log", "Minute", "Soak", "growth_mib", "soak"]

Floats = npt.NDArray[np.float64]

_NS = 1_000_000_000
_MIB = 1 << 20
MINUTE = 60
MOST_ROWS = 7 * 24 * 3600
"""Rows that room is taken for at once."""
ROOM = 2
"""Room for the runs of a minute, as a multiple of what the first second's make."""
GROWTH_MIB = 4.0
"""Memory that came on in the second half: below this it is the allocator's."""


class Minute(Record, frozen=True, kw_only=True):
    """One minute; the last may be shorter."""

    at_s: float
    latency_ms: Percentiles
    max_ms: float
    rss_mib: float | None
    temperature_c: float | None


class Soak(Record, frozen=True, kw_only=True):
    """What a soak found; the judgements are made on reading.

    Attributes
    ----------
    seconds, minutes : in order. wild : outputs in which the engine answered NaN or infinity.
    partial : why it ended early; empty where it did not.
    """

    seconds: tuple[Second, ...]
    minutes: tuple[Minute, ...]
    wild: tuple[str, ...] = ()
    partial: str = ""

    def lasted_s(self) -> float:
        """How long it took; where one inference takes longer than a second, so does a row."""
        count = len(self.seconds)
        return self.seconds[-1].at_s * count / (count - 1) if count > 1 else float(count)

    def slow(self) -> list[Period]:
        """Throttled periods."""
        return [one for one in periods(self.seconds) if one.is_slow]

    def disturbed(self) -> list[Period]:
        """Periods in which the host was not the engine's own, and it was hardly slower."""
        return [one for one in periods(self.seconds) if not one.is_slow]

    def growth_mib(self) -> float | None:
        """Memory that came on in the second half, MiB; ``None`` where the system does not say, or it is too short."""
        known = [one.rss_mib for one in self.seconds if one.rss_mib is not None]
        return growth_mib(known) if len(known) == len(self.seconds) else None

    def complaints(self) -> list[str]:
        """Why this engine should not go out like this; none where it may."""
        told = [f"slower from {period.sentence()}" for period in self.slow()]
        growth = self.growth_mib()
        if growth is not None and growth > GROWTH_MIB:
            hours = self.lasted_s() / 2 / 3600
            told.append(
                f"memory grows by {growth:.1f} MiB in the second half, {growth / hours:.0f} MiB an hour"
            )
        if self.wild:
            told.append(f"the engine answers NaN or infinity in {', '.join(self.wild)}")
        return told


class Log:
    """Seconds as they end, so that what was measured outlives an engine that dies or a user who interrupts.

    The memory that is watched is not to be ours: room for all rows is taken before the first second, and for the runs
    of a minute at the end of it.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self.minutes: list[Minute] = []
        self.wild: set[str] = set()
        self._root = root
        self._rows: Floats = np.empty((0, len(_NUMBERS)))
        self._signs: dict[str, Floats] = {}
        self._count = 0
        self._minute: Floats = np.empty(0)
        self._in_minute = 0
        self._began: Activity | None = activity.read(root)

    def __len__(self) -> int:
        return self._count

    def reserve(self, seconds: int) -> None:
        """Take the room that so many rows fill, or a week's."""
        self._make_room(max(min(seconds, MOST_ROWS), self._count))

    def _make_room(self, count: int) -> None:
        self._rows = _longer(self._rows[: self._count], count)
        self._signs = {name: _longer(counts[: self._count], count) for name, counts in self._signs.items()}

    def add(self, at_s: float, samples: Sequence[int]) -> None:
        """One more second, with the host as it is now."""
        if self._in_minute and at_s >= MINUTE * (len(self.minutes) + 1):
            self._end_minute()
        if self._count == len(self._rows):
            self._make_room(2 * self._count + 1)
        now = activity.read(self._root)
        shares = activity.between(self._began, now)
        self._began = now
        clocks_mhz = throttle.clocks_mhz(self._root)
        row = {
            "at_s": at_s,
            "runs": len(samples),
            "p50_ns": stats.quantile(samples, 0.5),
            "mean_ns": sum(samples) / len(samples),
            "max_ns": max(samples),
            "rss_mib": _rss_mib(self._root),
            "clock_mhz": sum(clocks_mhz) / len(clocks_mhz) if clocks_mhz else None,
            "temperature_c": context.temperature_c(self._root),
            "others": None if shares is None else shares.others,
            "stolen": None if shares is None else shares.stolen,
        }
        self._rows[self._count] = [np.nan if row[name] is None else row[name] for name in _NUMBERS]
        for name, count in (throttle.signs(self._root) or {}).items():
            if name not in self._signs:
                self._signs[name] = _longer(np.empty(0), len(self._rows))
            self._signs[name][self._count] = count
        self._count += 1
        self._keep(samples)

    def seconds(self) -> tuple[Second, ...]:
        """Those that ended, in order."""
        return tuple(self._second(place) for place in range(self._count))

    def soak(self, partial: str = "") -> Soak:
        """What there is so far; ``partial`` says why there is no more."""
        if self._in_minute:
            self._end_minute()
        return Soak(
            seconds=self.seconds(),
            minutes=tuple(self.minutes),
            wild=tuple(sorted(self.wild)),
            partial=partial,
        )

    def _second(self, place: int) -> Second:
        row = {
            name: None if math.isnan(value) else value
            for name, value in zip(_NUMBERS, self._rows[place].tolist())
        }
        signs = {name: int(counts[place]) for name, counts in self._signs.items() if counts[place] >= 0}
        whole = {name: int(row.pop(name) or 0) for name in ("runs", "max_ns")}
        return msgspec.convert({**row, **whole, "throttle": signs or None}, Second)

    def _keep(self, samples: Sequence[int]) -> None:
        """Put times to those of the running minute."""
        needed = self._in_minute + len(samples)
        if needed > len(self._minute):
            room = max(needed, ROOM * MINUTE * len(samples))
            self._minute = _longer(self._minute[: self._in_minute], room)
        self._minute[self._in_minute : needed] = samples
        self._in_minute = needed

    def _end_minute(self) -> None:
        last, times = self._second(self._count - 1), self._minute[: self._in_minute]
        self.minutes.append(
            Minute(
                at_s=float(MINUTE * len(self.minutes)),
                latency_ms=percentiles_ms(times),
                max_ms=float(times.max()) / 1e6,
                rss_mib=last.rss_mib,
                temperature_c=last.temperature_c,
            )
        )
        self._in_minute = 0


def _longer(values: Floats, count: int) -> Floats:
    """The same with room for more rows: NaN, for the system gives memory only where something is written."""
    longer = np.full((count, *values.shape[1:]), np.nan)
    longer[: len(values)] = values
    return longer


_NUMBERS = (
    "at_s",
    "runs",
    "p50_ns",
    "mean_ns",
    "max_ns",
    "rss_mib",
    "clock_mhz",
    "temperature_c",
    "others",
    "stolen",
)
"""Columns of a second that are numbers; NaN where the host does not tell one."""


def soak(
    once: Callable[[], object],
    *,
    seconds: float,
    clock: Clock = clocks.system,
    log: Log | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Soak:
    """Run a call back to back for a long time.

    Parameters
    ----------
    seconds : for so long.
    log : where seconds are put as they end; whoever holds it has them when the call raises.
    on_progress : called with (seconds done, all seconds) after each.

    Raises
    ------
    InputError : a time that is not above 0. EnvironmentLacks : the clock went back.
    """
    if not 0 < seconds < math.inf:
        raise InputError(f"a soak takes a time above 0, found {seconds:g} s", hint="--soak 30m")
    log = Log() if log is None else log
    log.reserve(math.ceil(seconds))
    harness.warm_up(once, clock)
    begun = second = clock()
    while second - begun < seconds * _NS:
        samples: list[int] = []
        ended = second
        with harness.uncollected():
            while ended - second < _NS and ended - begun < seconds * _NS:
                before = clock()
                answer = once()
                ended = clock()
                clocks.refuse_back(before, ended)
                samples.append(ended - before)
        log.wild.update(harness.wild_outputs(answer))
        log.add((second - begun) / _NS, samples)
        second = ended
        if on_progress is not None:
            on_progress(len(log), max(math.ceil(seconds), len(log)))
    return log.soak()


def growth_mib(rss_mib: Sequence[float]) -> float | None:
    """Memory that came on in the second half, MiB, at the median slope; 0 where no trend is proven.

    ``None`` of fewer seconds than a trend can be proven of.

    The first half is left to caches and pools that fill once. ``drift.sen_slope`` over thirty blocks, where
    ``drift.kendall_p`` is below one in a thousand.
    """
    late = drift.block_medians(rss_mib[len(rss_mib) // 2 :], _BLOCKS)
    if len(late) < _LEAST_BLOCKS:
        return None
    if drift.kendall_p(late) > 0.001:
        return 0.0
    return drift.sen_slope(late) * len(late)


_BLOCKS, _LEAST_BLOCKS = 30, 10


def _rss_mib(root: Path) -> float | None:
    """Resident memory of this process: the second word of ``statm``, in pages (proc(5))."""
    words = (sysfs.text(root / "proc/self/statm") or "").split()
    return int(words[1]) * os.sysconf("SC_PAGE_SIZE") / _MIB if len(words) > 1 else None
