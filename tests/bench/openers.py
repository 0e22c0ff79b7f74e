"""What the comparison's tests time in child processes: calls that take a known time on a recorded clock."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from pathlib import Path

from edgetl.bench import clock as clocks
from edgetl.testing import RecordedClock

_CLOCK = RecordedClock()


def recorded(microseconds: int) -> Callable[[], None]:
    """Takes so long on a clock that the child measures with instead of its own."""
    clocks.system = _CLOCK
    return _CLOCK.call(repeat(1000 * microseconds))


def keeping(log: str, cache: str) -> Callable[[], None]:
    """Leaves a file in the cache and writes into a log which one it was, and whether it was full."""
    with Path(log).open("a") as file:
        file.write(f"{cache} {len(list(Path(cache).iterdir()))}\n")
    (Path(cache) / "kept").touch()
    return recorded(100)


def refuse() -> Callable[[], None]:
    """Cannot be opened."""
    from edgetl.errors import EnvironmentLacks

    raise EnvironmentLacks("no such device here", hint="plug it in")
