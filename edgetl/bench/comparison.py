"""Which of several engines is faster: a ratio with an interval, or "cannot tell".

An engine instance is fast or slow for its whole life, by a percent or two and at times by eight, so runs of one
instance say little about the next one. Here every round is a fresh process that opens a fresh instance of each
contender and times them in mirrored turns; it yields one log ratio a contender. The estimate is the
Hodges-Lehmann centre over the rounds, and the interval that of Wilcoxon's signed ranks: the instance is the unit.
"""

from __future__ import annotations

import math
import random
import statistics
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from edgetl import isolate, stats
from edgetl.bench import clock as clocks
from edgetl.bench import context
from edgetl.bench.context import Context
from edgetl.bench.instance import Blocks, Pace
from edgetl.bench.measurement import Percentiles, percentiles_ms
from edgetl.errors import InputError
from edgetl.types import LayerInfo, Record

__all__ = [
    "Comparison",
    "Contender",
    "Ratio",
    "cached",
    "compare",
    "fresh",
    "fresh_profile",
    "log_ratio",
    "log_time",
    "of_engine",
    "verdict",
]

Answer = Literal["faster", "slower", "no difference", "cannot tell"]
NOTICEABLE = 0.01
"""A difference is claimed only beyond this share: smaller ones are of no use, and chance makes them."""
NEGLIGIBLE = 0.03
"""There is "no difference" when the interval leaves room for none of this share."""
LOOK_EVERY = 4
"""After the first look, the interval is looked at again each time so many instances were added."""


class Contender(Record, frozen=True, kw_only=True):
    """Something to time.

    Attributes
    ----------
    opener : ``module:function``, called in the child process; it returns the call to time, which takes nothing.
    arguments : of the opener, JSON data.
    cacheable : the opener takes ``cache``, a folder for what makes the next opening quick.
    """

    opener: str
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    cacheable: bool = False


class Ratio(Record, frozen=True, kw_only=True):
    """Time of a contender over that of the baseline.

    Attributes
    ----------
    ratio : Hodges-Lehmann centre over the pairs of instances; ci95 : its interval.
    verdict : ``faster``, ``slower``, ``no difference`` or ``cannot tell``.
    instances : pairs of fresh instances.
    """

    ratio: float
    ci95: tuple[float, float]
    verdict: Answer
    instances: int


class Comparison(Record, frozen=True, kw_only=True):
    """What was measured; statistics are made on reading.

    Attributes
    ----------
    baseline : name of the contender that the ratios are to.
    instances : for each fresh process, blocks of nanoseconds by contender, two a mirrored turn.
    context : the host when measuring began, and when it ended.
    """

    baseline: str
    instances: tuple[dict[str, list[list[int]]], ...]
    context: tuple[Context, Context]

    def names(self) -> list[str]:
        """All contenders, sorted."""
        return sorted(self.instances[0])

    def log_ratios(self, name: str, against: str | None = None) -> list[float]:
        """One a pair of instances: the median over mirrored turns of the log ratio of block medians."""
        return [log_ratio(blocks[name], blocks[against or self.baseline]) for blocks in self.instances]

    def ratio(self, name: str, against: str | None = None) -> Ratio:
        """Time of a contender over that of the baseline, or of another contender."""
        logs = self.log_ratios(name, against)
        interval = stats.signed_rank_interval(logs)
        assert interval is not None  # two instances at least
        ci95 = (math.exp(interval[0]), math.exp(interval[1]))
        return Ratio(
            ratio=math.exp(stats.hodges_lehmann(logs)), ci95=ci95, verdict=verdict(ci95), instances=len(logs)
        )

    def versus(self) -> dict[str, Ratio]:
        """The ratio of every contender but the baseline."""
        return {name: self.ratio(name) for name in self.names() if name != self.baseline}

    def latency_ms(self, name: str) -> Percentiles:
        """``p50``, ``p90``, ``p99`` over all instances, ``None`` without support, and ``n`` (runs)."""
        return percentiles_ms([ns for blocks in self.instances for block in blocks[name] for ns in block])


def verdict(ci95: tuple[float, float]) -> Answer:
    """What an interval of a ratio of times allows to say.

    ``faster`` and ``slower`` when all of it lies more than 1 % to one side; ``no difference`` when it does not and
    leaves no room for 3 % either way; else ``cannot tell``. The 1 % keeps false alarms of a net against itself far
    below the 5 % of the interval, also under repeated looks.
    """
    low, high = ci95
    if high < 1 - NOTICEABLE:
        return "faster"
    if low > 1 + NOTICEABLE:
        return "slower"
    if low >= 1 - NEGLIGIBLE and high <= 1 + NEGLIGIBLE:
        return "no difference"
    return "cannot tell"


def fresh_profile(folder: Path, env: Mapping[str, str] | None) -> list[LayerInfo]:
    """The layers of the engine in a folder, by an instance in a fresh process with these variables."""
    told = isolate.call("edgetl.bench.instance:profile", {"folder": str(folder)}, env=env)
    return msgspec.convert(told, list[LayerInfo])


def of_engine(folder: Path) -> Contender:
    """The engine in a folder, with its ``engine.json``, as a contender."""
    return Contender(
        opener="edgetl.bench.instance:open_engine", arguments={"folder": str(folder)}, cacheable=True
    )


@contextmanager
def cached(contenders: Mapping[str, Contender]) -> Iterator[dict[str, Contender]]:
    """The contenders, with a cache that those of them share which take one, and that is gone afterwards.

    Most of a comparison is opening: for OpenVINO, optimizing the same graph for each fresh instance. A cache takes that
    out, and leaves an instance with its own memory, which is what makes it fast or slow.
    """
    with tempfile.TemporaryDirectory(prefix="edgetl-opened-") as folder:
        yield {
            name: msgspec.structs.replace(one, arguments={**one.arguments, "cache": folder})
            if one.cacheable
            else one
            for name, one in contenders.items()
        }


def compare(
    contenders: Mapping[str, Contender],
    *,
    baseline: str,
    instances: int = 12,
    most_instances: int = 20,
    seconds: float = 240.0,
    until: Collection[str] | None = None,
    pace: Pace | None = None,
    seed: int = 0,
    env: Mapping[str, str] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Time contenders against each other in fresh processes.

    Parameters
    ----------
    contenders : by name, at least two.
    baseline : the name that ratios are to.
    instances : fresh instances of each at which the result is looked at first; 2 at least.
    most_instances : more are drawn, up to so many, while a verdict is "cannot tell" ...
    seconds : ... and so much time has not passed.
    until : contenders whose verdict must be told; all of them where it is ``None``.
    pace : how long each process measures.
    seed : of the order in which each process opens and times them.
    env : variables set for the processes.
    on_progress : called with (done, expected) after each; may raise to stop.

    Raises
    ------
    InputError : fewer than two contenders or instances, or the baseline is none of the contenders.
    EdgetlError : a contender cannot be opened or died; what it said.
    """
    if len(contenders) < 2 or baseline not in contenders or instances < 2:
        raise InputError(
            f"a comparison takes two contenders, one of them the baseline, and two instances of each; "
            f"found {sorted(contenders)}, {baseline!r} and {instances}"
        )
    shuffle = random.Random(seed).sample
    begun, before = clocks.system(), context.read()
    done: list[Blocks] = []
    with cached(contenders) as drawn:
        while True:
            order = shuffle(sorted(drawn), len(drawn))
            done.append(fresh({name: drawn[name] for name in order}, pace or Pace(), env))
            if on_progress is not None:
                on_progress(len(done), max(instances, len(done)))
            if len(done) < instances or (len(done) - instances) % LOOK_EVERY:
                continue
            found = Comparison(baseline=baseline, instances=tuple(done), context=(before, context.read()))
            verdicts = {name: ratio.verdict for name, ratio in found.versus().items()}
            told = "cannot tell" not in [verdicts[name] for name in until or verdicts]
            if told or len(done) >= most_instances or clocks.system() - begun > seconds * 1e9:
                return found


def fresh(contenders: Mapping[str, Contender], pace: Pace, env: Mapping[str, str] | None = None) -> Blocks:
    """Open an instance of each contender in a new process, in this order, and time them in mirrored turns.

    Raises
    ------
    EdgetlError : a contender cannot be opened, died, or answers NaN or infinity; what it said.
    """
    arguments = {
        "contenders": [(name, c.opener, c.arguments) for name, c in contenders.items()],
        "pace": msgspec.to_builtins(pace),
    }
    blocks: Blocks = isolate.call("edgetl.bench.instance:run", arguments, env=env)
    return blocks


def log_ratio(contender: Sequence[Sequence[int]], baseline: Sequence[Sequence[int]], q: float = 0.5) -> float:
    """Log ratio of the times of two instances that took turns.

    Parameters
    ----------
    contender, baseline : blocks of nanoseconds, two a mirrored turn.
    q : of medians, turn by turn, and the median turn is taken. Of any other quantile, that of all runs of the instance:
        one block has too few.
    """
    if q != 0.5:
        return log_time(contender, q) - log_time(baseline, q)
    return statistics.median(mine - other for mine, other in zip(_turns(contender), _turns(baseline)))


def log_time(blocks: Sequence[Sequence[int]], q: float = 0.5) -> float:
    """Log of the nanoseconds that an instance takes; ``q`` as in ``log_ratio``."""
    if q != 0.5:
        return math.log(stats.quantile([ns for block in blocks for ns in block], q))
    return statistics.median(_turns(blocks))


def _turns(blocks: Sequence[Sequence[int]]) -> list[float]:
    """The mean log of the two block medians of each mirrored turn."""
    logs = [math.log(statistics.median(block)) for block in blocks]
    return [sum(logs[first : first + 2]) / len(logs[first : first + 2]) for first in range(0, len(logs), 2)]
