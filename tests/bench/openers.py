"""What the comparison's tests time in child processes: spins of a known length."""

from __future__ import annotations

import time
from collections.abc import Callable


def spin(microseconds: float) -> Callable[[], None]:
    """Keeps the processor busy for so long."""

    def once() -> None:
        end = time.perf_counter_ns() + microseconds * 1000
        while time.perf_counter_ns() < end:
            pass

    return once


def refuse() -> Callable[[], None]:
    """Cannot be opened."""
    from edgetl.errors import EnvironmentLacks

    raise EnvironmentLacks("no such device here", hint="plug it in")
