"""Which of several things is faster: fresh instances in fresh processes, interleaved blocks, a ratio with an interval.

One compiled engine is a sample of one: it is fast or slow for its whole life, by where its memory lies. So each
round starts a process, opens a fresh instance of every contender there, and times them in blocks forwards and
backwards (ABBA), so that a drift of the machine falls on all alike. The unit of the interval is the round.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgetl import isolate, stats
from edgetl.bench import context, harness
from edgetl.bench.context import Context
from edgetl.bench.measurement import percentiles_ms
from edgetl.types import Record

__all__ = ["Comparison", "Contender", "Ratio", "compare", "engine", "one_round", "verdict"]

MARGIN = 0.01
"""A difference under 1 % is not called one: instances of one engine differ by more."""
BLOCK_MS = 40.0
LEAST_RUNS = 5


class Contender(Record, kw_only=True):
    """Something to time: a function that opens it in the child, named, and its JSON arguments.

    Attributes
    ----------
    opener : ``package.module:function``; it returns a function of no arguments that does one run.
    """

    opener: str
    arguments: dict[str, Any]


class Ratio(Record, kw_only=True):
    """Time of a contender over the baseline's.

    Attributes
    ----------
    ratio : Hodges-Lehmann estimate over the rounds. ci95 : its exact interval by signed ranks, rounds being the
        unit; ``None`` where there are too few rounds for one.
    verdict : ``faster``, ``slower``, ``no difference`` or ``too few instances``. instances : rounds.
    rounds : the ratio of each.
    """

    ratio: float
    ci95: tuple[float, float] | None
    verdict: str
    instances: int
    rounds: list[float]


class Comparison(Record, kw_only=True):
    """Raw times and where they were taken.

    Attributes
    ----------
    times_ns : by contender, by round, by block. context : the host when it began, and when it ended.
    """

    baseline: str
    times_ns: dict[str, list[list[list[int]]]]
    context: tuple[Context, Context]

    def ratio(self, name: str) -> Ratio:
        """A contender against the baseline."""
        logs = [
            float(np.median([math.log(np.median(a) / np.median(b)) for a, b in zip(mine, base)]))  # noqa: B905 (3.10)
            for mine, base in zip(self.times_ns[name], self.times_ns[self.baseline])  # noqa: B905
        ]
        ratio = math.exp(stats.hodges_lehmann(logs))
        limits = stats.signed_rank_interval(logs)
        ci95 = None if limits is None else (math.exp(limits[0]), math.exp(limits[1]))
        return Ratio(
            ratio=ratio,
            ci95=ci95,
            verdict=verdict(ratio, ci95),
            instances=len(logs),
            rounds=[math.exp(value) for value in logs],
        )

    def latency_ms(self, name: str) -> dict[str, Any]:
        """Percentiles over every run of every instance."""
        return percentiles_ms([t for round_ in self.times_ns[name] for block in round_ for t in block])


def verdict(ratio: float, ci95: tuple[float, float] | None) -> str:
    """``faster`` or ``slower`` where the interval excludes 1 and the ratio is at least 1 % away; else ``no difference``."""
    if ci95 is None:
        return "too few instances"
    if ci95[1] < 1 and ratio <= 1 - MARGIN:
        return "faster"
    if ci95[0] > 1 and ratio >= 1 + MARGIN:
        return "slower"
    return "no difference"


def compare(
    contenders: Mapping[str, Contender],
    *,
    baseline: str,
    instances: int = 12,
    blocks: int = 6,
    on_progress: Callable[[int, int], None] | None = None,
    env: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Comparison:
    """Time several things side by side.

    Parameters
    ----------
    baseline : the contender that the others are held against.
    instances : rounds, each with fresh instances in a fresh process.
    blocks : of each contender in a round, an even number: half of them forwards, half backwards.
    env : variables set for the children.
    seed : of the order in which a round opens and begins.

    Raises
    ------
    BackendError : a contender could not be opened or run.
    """
    rng = np.random.default_rng(seed)
    before = context.read()
    times: dict[str, list[list[list[int]]]] = {name: [] for name in contenders}
    for number in range(instances):
        order = [list(contenders)[index] for index in rng.permutation(len(contenders))]
        told = isolate.call(
            "edgetl.bench.compare:one_round",
            {
                "contenders": [[name, contenders[name].opener, contenders[name].arguments] for name in order],
                "blocks": blocks,
            },
            env=env,
        )
        for name in contenders:
            times[name].append(told[name])
        if on_progress is not None:
            on_progress(number + 1, instances)
    return Comparison(baseline=baseline, times_ns=times, context=(before, context.read()))


def one_round(contenders: Sequence[Sequence[Any]], blocks: int) -> dict[str, list[list[int]]]:
    """Open each contender, warm it up, and time it in blocks; runs in a child process of its own."""
    calls = {name: _open(opener, arguments) for name, opener, arguments in contenders}
    runs = {}
    for name, call in calls.items():
        harness.warm_up(call)
        typical = float(np.median(harness.block(call, LEAST_RUNS)))
        runs[name] = max(LEAST_RUNS, int(BLOCK_MS * 1e6 / typical))
    times: dict[str, list[list[int]]] = {name: [] for name in calls}
    for number in range(blocks):
        order = list(calls) if number % 2 == 0 else list(calls)[::-1]
        for name in order:
            calls[name]()  # the first run after another engine pays for its caches: not this one's time
            times[name].append(harness.block(calls[name], runs[name]))
    return times


def _open(opener: str, arguments: Mapping[str, Any]) -> harness.Call:
    place, _, name = opener.partition(":")
    call: harness.Call = getattr(importlib.import_module(place), name)(**arguments)
    return call


def engine(folder: Path | str) -> harness.Call:
    """Open the engine in a folder; one run is one inference on pixels that are already in its buffer."""
    import msgspec

    from edgetl.backends import seam
    from edgetl.types import Engine

    place = Path(folder)
    record = msgspec.json.decode((place / "engine.json").read_bytes(), type=Engine)
    session = seam.find(record.backend).open(record, place)
    request = session.request()
    rng = np.random.default_rng(0)
    for spec in record.inputs:
        pixels = rng.integers(0, 256, [1 if dim is None else dim for dim in spec.shape])
        values = pixels if spec.dtype == "uint8" else pixels / 255
        request.fill({spec.name: values.astype(spec.dtype)})

    def run() -> object:
        request.start()
        return request.wait()

    return run
