"""The bundle that the examples run."""

from __future__ import annotations

from tests.runtime.conftest import sealed

__all__ = ["sealed"]
