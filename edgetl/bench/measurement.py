"""Raw samples and what they were taken on; statistics are computed on reading, never kept instead."""

from __future__ import annotations

from typing import Any

import msgspec

from edgetl import stats
from edgetl.bench.context import Context
from edgetl.types import Record

__all__ = ["Measurement", "percentiles_ms"]

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def percentiles_ms(times_ns: list[int]) -> dict[str, Any]:
    """``p50``, ``p90``, ``p99`` in milliseconds and ``n``; ``None`` where there are too few runs for one."""
    found: dict[str, Any] = {
        name: stats.quantile(times_ns, share) / 1e6 if len(times_ns) >= stats.percentile_support(share) else None
        for name, share in SHARES.items()
    }
    return {**found, "n": len(times_ns)}


class Measurement(Record, kw_only=True):
    """Times of one thing.

    Attributes
    ----------
    what : in words. times_ns : every run, in order. context : the host when it began.
    """

    what: str
    times_ns: list[int]
    context: Context

    def summary(self) -> dict[str, Any]:
        """Percentiles, and the interval of the median."""
        interval = stats.quantile_interval(self.times_ns, 0.5)
        return {
            **percentiles_ms(self.times_ns),
            "p50_ci95": None if interval is None else [limit / 1e6 for limit in interval],
            "context": msgspec.to_builtins(self.context),
        }
