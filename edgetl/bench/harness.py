"""Run something again and again, and keep every time."""

from __future__ import annotations

import gc
from collections.abc import Callable

from edgetl.bench.clock import Clock, now_ns

__all__ = ["block", "measure", "warm_up"]

Call = Callable[[], object]

STEADY = 0.05
"""Two halves of a window whose medians differ by less are taken for steady."""
WINDOW = 20


def warm_up(call: Call, *, least_s: float = 0.2, most_s: float = 2.0, clock: Clock = now_ns) -> int:
    """Run until the times are steady, at least and at most so long; how many runs it took.

    Steady: the medians of the last ten runs and of the ten before differ by under 5 %.
    """
    begun = clock()
    times: list[int] = []
    while True:
        start = clock()
        call()
        end = clock()
        times.append(end - start)
        spent = (end - begun) / 1e9
        if spent >= most_s or (spent >= least_s and _steady(times)):
            return len(times)


def _steady(times: list[int]) -> bool:
    if len(times) < WINDOW:
        return False
    half = WINDOW // 2
    before, after = sorted(times[-WINDOW:-half])[half // 2], sorted(times[-half:])[half // 2]
    return abs(after - before) < STEADY * before


def block(call: Call, runs: int, *, clock: Clock = now_ns) -> list[int]:
    """Times of so many runs, nanoseconds, with the garbage collector off."""
    times = [0] * runs
    collecting = gc.isenabled()
    gc.disable()
    try:
        for index in range(runs):
            start = clock()
            call()
            times[index] = clock() - start
    finally:
        if collecting:
            gc.enable()
    return times


def measure(call: Call, *, seconds: float, runs: int, clock: Clock = now_ns) -> list[int]:
    """Warm up, then run at least so long and so often; every time in nanoseconds."""
    warm_up(call, clock=clock)
    begun = clock()
    times: list[int] = []
    while len(times) < runs or clock() - begun < seconds * 1e9:
        times += block(call, max(1, min(runs, 64)), clock=clock)
    return times
