"""Latency: measured with context, compared with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgetl.bench.compare import compare as compare
    from edgetl.bench.harness import measure as measure

__all__ = ["compare", "measure"]


def __getattr__(name: str) -> Any:
    """Resolve on first use: ``edgetl --help`` must not pay for numpy."""
    from importlib import import_module

    if name == "measure":
        return import_module("edgetl.bench.harness").measure
    if name == "compare":
        return import_module("edgetl.bench.compare").compare
    raise AttributeError(f"module 'edgetl.bench' has no attribute {name!r}")
