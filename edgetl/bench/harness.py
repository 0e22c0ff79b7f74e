"""Times one call again and again: warm-up until steady, then raw samples."""

from __future__ import annotations

import gc
import math
import statistics
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from edgetl.backends.seam import Session
from edgetl.bench import clock as clocks
from edgetl.bench import context
from edgetl.bench.clock import Clock
from edgetl.bench.measurement import Measurement

__all__ = ["WarmUp", "engine_call", "measure", "measure_call", "sample", "warm_up"]

Call = Callable[[], object]
_NS = 1_000_000_000
WINDOW_NS = 50_000_000
WINDOW_RUNS = 3
STEADY = 0.03
"""Two windows of the warm-up agree when their medians differ by less than this share."""
APART = 4
"""So many windows lie between those two: neighbours agree even while the time still falls slowly."""


@dataclass(frozen=True)
class WarmUp:
    """How a warm-up went: its runs, whether the time settled, and the median of its last window."""

    runs: int
    steady: bool
    median_ns: float


def engine_call(session: Session, feed: Mapping[str, npt.NDArray[Any]]) -> Call:
    """One inference with the inputs already in the engine's own buffers, so that no copy of ours is timed."""
    request = session.request()
    request.fill(feed)
    start, wait = request.start, request.wait

    def once() -> None:
        start()
        wait()

    return once


def measure(
    session: Session,
    feed: Mapping[str, npt.NDArray[Any]],
    *,
    min_seconds: float = 2.0,
    min_runs: int = 100,
    threads: int | None = None,
    clock: Clock = clocks.system,
) -> Measurement:
    """Time an engine alone.

    Parameters
    ----------
    feed : its inputs by name.
    min_seconds, min_runs : sampling goes on until both are reached.
    threads : what the engine was given, for the record.
    """
    call = engine_call(session, feed)
    return measure_call(
        call, "engine", min_seconds=min_seconds, min_runs=min_runs, threads=threads, clock=clock
    )


def measure_call(
    once: Call,
    what: str = "frame",
    *,
    min_seconds: float = 2.0,
    min_runs: int = 100,
    threads: int | None = None,
    clock: Clock = clocks.system,
    on_progress: Callable[[int, int], None] | None = None,
) -> Measurement:
    """Time any call, such as one that takes a frame to its result.

    Parameters
    ----------
    on_progress : called with (done, expected runs) between samples, a hundred times at most.
    """
    warm = warm_up(once, clock)
    host = context.read(threads=threads)
    samples: list[int] = []
    expected = max(min_runs, math.ceil(min_seconds * _NS / max(warm.median_ns, 1)))
    begun = clock()
    while len(samples) < min_runs or clock() - begun < min_seconds * _NS:
        samples += sample(once, 1, clock)
        if on_progress is not None and len(samples) % math.ceil(expected / 100) == 0:
            on_progress(len(samples), max(expected, len(samples)))
    return Measurement(
        what=what, samples_ns=tuple(samples), warm_up_runs=warm.runs, steady=warm.steady, context=host
    )


def warm_up(once: Call, clock: Clock, *, least_seconds: float = 0.2, most_seconds: float = 5.0) -> WarmUp:
    """Run until windows that lie apart take the same time, within limits of time."""
    begun = clock()
    runs = 0
    before: deque[float] = deque(maxlen=APART)
    while True:
        window: list[int] = []
        while len(window) < WINDOW_RUNS or sum(window) < WINDOW_NS:
            window += sample(once, 1, clock)
        runs += len(window)
        now = statistics.median(window)
        steady = len(before) == APART and abs(now - before[0]) < STEADY * now
        spent = clock() - begun
        if (steady and spent >= least_seconds * _NS) or spent >= most_seconds * _NS:
            return WarmUp(runs, steady, now)
        before.append(now)


def sample(once: Call, runs: int, clock: Clock) -> list[int]:
    """Nanoseconds of each of so many runs, with the garbage collector off: its pauses are not the engine's."""
    taken = []
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(runs):
            begun = clock()
            once()
            taken.append(clock() - begun)
    finally:
        if collecting:
            gc.enable()
    return taken
