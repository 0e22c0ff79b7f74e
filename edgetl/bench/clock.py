"""The clock of every measurement: the only place that reads one."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Clock", "system"]

Clock = Callable[[], int]
"""Nanoseconds since some moment; never goes back."""

system: Clock = time.perf_counter_ns
