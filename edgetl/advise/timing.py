"""Latency of several engines of this host, by turns, each in fresh processes."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

from edgetl.advise.recommend import Latency
from edgetl.bench.comparison import cached, fresh, of_engine
from edgetl.bench.instance import Pace

__all__ = ["INSTANCES", "time_engines"]

INSTANCES = 3
"""Fresh instances of each: one is fast or slow for its whole life by a percent or two, and backbones differ by more."""
PACE = Pace(rounds=1, block_ms=40.0, least_runs=10, warm_seconds=0.1)


def time_engines(
    engines: Mapping[str, Path],
    *,
    here: bool,
    instances: int = INSTANCES,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Latency]:
    """Median latency of each engine.

    Parameters
    ----------
    engines : folders of engines, by name. here : this host is the device that is asked for.
    on_progress : called with (done, expected) after each instance; may raise to stop.

    Raises
    ------
    EdgetlError : an engine cannot be opened, or answers NaN.
    """
    medians: dict[str, list[float]] = {name: [] for name in engines}
    rng = Random(seed)
    turns = [name for _ in range(instances) for name in rng.sample(sorted(engines), len(engines))]
    with cached({name: of_engine(folder) for name, folder in engines.items()}) as contenders:
        for done, name in enumerate(turns, start=1):
            blocks = fresh({name: contenders[name]}, PACE)[name]
            medians[name].append(statistics.median(ns for block in blocks for ns in block) / 1e6)
            if on_progress is not None:
                on_progress(done, len(turns))
    return {
        name: Latency(
            p50_ms=statistics.median(found),
            kind="measured" if here else "host",
            spread_ms=(min(found), max(found)),
        )
        for name, found in medians.items()
    }
