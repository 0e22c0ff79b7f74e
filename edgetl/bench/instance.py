"""One fresh process of a comparison: an instance of each contender, timed in mirrored turns."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from edgetl.backends import folder as engines
from edgetl.backends import seam
from edgetl.backends.checks import noise
from edgetl.bench import clock as clocks
from edgetl.bench import energy, sysfs
from edgetl.bench.clock import Clock
from edgetl.bench.harness import engine_call, sample, warm_up, wild_outputs
from edgetl.errors import GateFailed
from edgetl.types import Record

__all__ = ["Blocks", "Pace", "alternate", "energy_use", "footprint", "open_engine", "profile", "run"]

Call = Callable[[], object]
Blocks = dict[str, list[list[int]]]


class Pace(Record, frozen=True, kw_only=True):
    """How long one process measures.

    Attributes
    ----------
    rounds : mirrored turns (A B B A); every contender has two blocks in each.
    block_ms : a block takes so long, within ``least_runs`` and ``most_runs``.
    settle_ms : run before each block and thrown away: the caches, and the threads of the candidate before
        that still spin, are its neighbour's and not its own.
    warm_seconds : least warm-up of a contender.
    """

    rounds: int = 4
    block_ms: float = 60.0
    least_runs: int = 8
    most_runs: int = 200
    settle_ms: float = 5.0
    warm_seconds: float = 0.2


def run(contenders: Sequence[tuple[str, str, Mapping[str, Any]]], pace: Mapping[str, Any]) -> Blocks:
    """Open every contender, in the order given, and time them: the entry point of the child process.

    Parameters
    ----------
    contenders : (name, ``module:function`` of the opener, its arguments); the opener returns the call to time.

    Returns
    -------
    Blocks of nanoseconds by contender, two a round.

    Raises
    ------
    GateFailed : a contender answers NaN or infinity, before the timing or after it; ``facts["contender"]`` names it.
    """
    calls = {name: _resolve(opener)(**arguments) for name, opener, arguments in contenders}
    _refuse_wild(calls)
    blocks = alternate(calls, msgspec.convert(pace, Pace), clocks.system)
    _refuse_wild(calls)
    return blocks


def _refuse_wild(calls: Mapping[str, Call]) -> None:
    for name, once in calls.items():
        wild = wild_outputs(once())
        if wild:
            raise GateFailed(
                f"the {name} answers NaN or infinity in {', '.join(wild)}",
                hint="edgetl verify BUNDLE",
                contender=name,
            )


def _resolve(opener: str) -> Callable[..., Call]:
    module, _, name = opener.partition(":")
    found: Callable[..., Call] = getattr(importlib.import_module(module), name)
    return found


def alternate(calls: Mapping[str, Call], pace: Pace, clock: Clock) -> Blocks:
    """Blocks of each call in mirrored turns (A B B A), so that a steady drift of the machine cancels."""
    runs, settle = {}, {}
    for name, once in calls.items():
        median_ms = warm_up(once, clock, least_seconds=pace.warm_seconds).median_ns / 1e6
        runs[name] = min(max(math.ceil(pace.block_ms / median_ms), pace.least_runs), pace.most_runs)
        settle[name] = math.ceil(pace.settle_ms / median_ms) + 1
    blocks: Blocks = {name: [] for name in calls}
    turn = [*calls, *reversed(list(calls))]
    for _ in range(pace.rounds):
        for name in turn:
            sample(calls[name], settle[name], clock)
            blocks[name].append(sample(calls[name], runs[name], clock))
    return blocks


def open_engine(folder: str, cache: str | None = None) -> Call:
    """The opener of an engine of ours: one inference on noise, through a request of its own."""
    place = Path(folder)
    record = engines.read(place)
    session = seam.find(record.backend).open(record, place, cache=None if cache is None else Path(cache))
    return engine_call(session, {spec.name: noise(spec) for spec in record.inputs})


def profile(folder: str) -> list[dict[str, Any]]:
    """The layers that a fresh instance of an engine of ours executes, with times: the entry point of a process."""
    place = Path(folder)
    record = engines.read(place)
    found: list[dict[str, Any]] = msgspec.to_builtins(seam.find(record.backend).explain(record, place))
    return found


def footprint(opener: str, arguments: Mapping[str, Any]) -> float | None:
    """Most memory, in MiB, that a fresh process held in opening one contender and running it: the entry point of it.

    Returns
    -------
    Resident memory of the host, Python and the vendor's library included; ``None`` where the system does not say.
    """
    warm_up(_resolve(opener)(**arguments), clocks.system)
    status = sysfs.text(Path("/proc/self/status")) or ""
    peak = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), None)
    return None if peak is None else int(peak) / 1024


def energy_use(opener: str, arguments: Mapping[str, Any], seconds: float) -> dict[str, Any] | None:
    """What inferences of one contender cost, as ``energy.Energy``: the entry point of a fresh process."""
    once = _resolve(opener)(**arguments)
    warm_up(once, clocks.system)
    found = energy.measure(once, seconds=seconds)
    return None if found is None else msgspec.structs.asdict(found)
