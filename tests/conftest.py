"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data; skips with a reason where it is not given."""
    place = os.environ.get("EDGETL_SHARED", "")
    if place and (Path(place) / "data").is_dir():
        return Path(place).resolve()
    reason = "EDGETL_SHARED does not name a folder with real data"
    if "shared" in os.environ.get("EDGETL_REQUIRE", "").split(","):
        pytest.fail(reason)
    pytest.skip(reason)
