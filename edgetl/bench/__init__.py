"""Measuring latency: ``measure`` one engine here, ``compare`` several in fresh processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgetl.bench.comparison import compare
    from edgetl.bench.harness import measure

__all__ = ["compare", "measure"]


def __getattr__(name: str) -> Any:
    """Resolve a public function on first use: nothing is imported for ``edgetl --help``."""
    if name == "measure":
        from edgetl.bench.harness import measure

        return measure
    if name == "compare":
        from edgetl.bench.comparison import compare

        return compare
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
