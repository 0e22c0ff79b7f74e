"""The bundles that these tests damage."""

from __future__ import annotations

from tests.runtime.conftest import copied, sealed

__all__ = ["copied", "sealed"]
