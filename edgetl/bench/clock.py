"""The clock of every measurement: the only place that reads one."""

from __future__ import annotations

import time
from collections.abc import Callable

from edgetl.errors import EnvironmentLacks

__all__ = ["Clock", "Sleep", "refuse_back", "sleep", "system"]

Clock = Callable[[], int]
"""Nanoseconds since some moment; never goes back."""
Sleep = Callable[[float], None]
"""Waits so many seconds, or a little longer."""

system: Clock = time.perf_counter_ns
sleep: Sleep = time.sleep


def refuse_back(begun: int, ended: int) -> None:
    """Refuse a clock that went back: no time that it gave can be believed.

    Raises
    ------
    EnvironmentLacks : ``ended`` is before ``begun``, both nanoseconds.
    """
    if ended < begun:
        raise EnvironmentLacks(
            f"the clock went back by {begun - ended} ns during a run: expected one that never does",
            hint="the system's clock source is broken: dmesg | grep clocksource",
        )
