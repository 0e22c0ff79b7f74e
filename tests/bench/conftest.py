"""A clock that only moves when something takes time on it."""

from __future__ import annotations

import pytest

from edgetl.testing import RecordedClock


@pytest.fixture
def clock() -> RecordedClock:
    """A fresh clock at zero."""
    return RecordedClock()
