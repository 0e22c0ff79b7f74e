"""A clock that only moves when something takes time on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest


class FakeClock:
    """Nanoseconds that calls add to."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def call(self, times_ns: Iterator[int]) -> Callable[[], None]:
        """A call that takes the next of these times."""

        def once() -> None:
            self.now += next(times_ns)

        return once


@pytest.fixture
def clock() -> FakeClock:
    """A fresh clock at zero."""
    return FakeClock()
