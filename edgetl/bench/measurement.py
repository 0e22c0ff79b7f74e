"""Raw samples with their context; every statistic is made from them on reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from edgetl import stats
from edgetl.bench.activity import Shares
from edgetl.bench.context import Context
from edgetl.types import Record

__all__ = ["PERCENTILES", "Measurement", "Percentiles", "percentiles_ms"]

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_NS_IN_MS = 1e6


class Percentiles(TypedDict):
    """Percentiles in milliseconds, ``None`` where there are too few samples, and the number of samples."""

    p50: float | None
    p90: float | None
    p99: float | None
    n: int


class Measurement(Record, frozen=True, kw_only=True):
    """One thing, run many times in one process.

    Attributes
    ----------
    what : ``engine`` (inputs already in its buffers), ``frame`` (a frame to its result) or a stage of a frame.
    samples_ns : nanoseconds of each run by the host's clock, in the order they ran.
    device_ns : the same by the device's own clock, copies included; empty where the session takes no such times.
    warm_up_runs : runs before the first sample, not kept.
    steady : the warm-up ended because the time had settled, and not because its own time was up.
    context : the host as it was when sampling began; ``after``: when it ended.
    shares : of the processors, what others had meanwhile.
    overhead_ns : what a run of nothing takes by the same clock: each sample is too long by about so much.
    wild : outputs in which the engine answered NaN or infinity.
    partial : why it ended early, with these samples kept; empty for a whole measurement.
    """

    what: str
    samples_ns: tuple[int, ...]
    warm_up_runs: int
    steady: bool
    context: Context
    after: Context | None = None
    shares: Shares | None = None
    device_ns: tuple[int, ...] = ()
    overhead_ns: float | None = None
    wild: tuple[str, ...] = ()
    partial: str = ""

    def percentile_ms(self, q: float) -> float | None:
        """The q-quantile in milliseconds; ``None`` without the support of ``stats.percentile_support``."""
        if len(self.samples_ns) < stats.percentile_support(q):
            return None
        return stats.quantile(self.samples_ns, q) / _NS_IN_MS

    def interval_ms(self, q: float) -> tuple[float, float] | None:
        """95 % interval of the q-quantile, for this instance alone: another may be a few percent off."""
        interval = stats.quantile_interval(self.samples_ns, q)
        return (interval[0] / _NS_IN_MS, interval[1] / _NS_IN_MS) if interval else None

    def summary(self) -> Percentiles:
        """``p50``, ``p90`` and ``p99`` in milliseconds, ``None`` without support, and ``n``."""
        return percentiles_ms(self.samples_ns)


def percentiles_ms(samples_ns: Sequence[int] | npt.NDArray[np.float64]) -> Percentiles:
    """``p50``, ``p90`` and ``p99`` in milliseconds, ``None`` where there are too few samples, and ``n``."""

    def at(q: float) -> float | None:
        enough = len(samples_ns) >= stats.percentile_support(q)
        return stats.quantile(samples_ns, q) / _NS_IN_MS if enough else None

    return {
        "p50": at(PERCENTILES["p50"]),
        "p90": at(PERCENTILES["p90"]),
        "p99": at(PERCENTILES["p99"]),
        "n": len(samples_ns),
    }
