"""The one clock that measures; everything that is timed takes a clock as an argument."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Clock", "now_ns"]

Clock = Callable[[], int]
"""Nanoseconds of a monotonic clock."""


def now_ns() -> int:
    """Nanoseconds since some moment; never goes back."""
    return time.perf_counter_ns()
