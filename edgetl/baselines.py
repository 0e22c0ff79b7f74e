"""What a candidate is held against: a bundle whose engine runs here, or instances that an earlier gate kept."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgetl import stats
from edgetl.bench import context, fingerprint, gate
from edgetl.bench.fingerprint import Subject
from edgetl.bench.gate import Stored
from edgetl.bench.measurement import PERCENTILES
from edgetl.bundles import opened
from edgetl.errors import InputError, NotComparable
from edgetl.runtime import Bundle
from edgetl.types import Percentile

__all__ = ["Match", "matched"]


@dataclass(frozen=True)
class Match:
    """A candidate and what it is held against; ``baseline`` is a bundle, or instances of an earlier gate."""

    name: str
    places: tuple[Path, Path]
    candidate: Bundle
    baseline: Bundle | Stored


def matched(stack: ExitStack, place: Path, against: Path, metric: Percentile) -> Match:
    """Open a candidate and its baseline, a bundle or a ``.json`` of an earlier gate; the stack closes them.

    Raises
    ------
    BundleError : a byte differs. InputError : a file is no measurement.
    NotComparable : device, shape, threads or, of a stored baseline, host differ, or it was timed for another metric.
    """
    candidate = stack.enter_context(opened(place))
    found = fingerprint.subject_of(candidate.manifest.device, candidate.engine)
    baseline: Bundle | Stored
    if against.suffix == ".json":
        baseline = _stored(against, candidate.manifest.name)
        _refuse_other(found, baseline.subject, against)
        here = fingerprint.host_of(context.read(), candidate.engine)
        different = fingerprint.differences(here, baseline.host)
        if different:
            raise NotComparable(
                f"not comparable with {against}: {'; '.join(different)}",
                hint="measure the baseline here: --baseline with its bundle",
                different=different,
            )
        _refuse_other_pace(baseline, metric, against)
    else:
        baseline = stack.enter_context(opened(against))
        _refuse_other(found, fingerprint.subject_of(baseline.manifest.device, baseline.engine), against)
    return Match(candidate.manifest.name, (place, against), candidate, baseline)


def _refuse_other(found: Subject, expected: Subject, against: Path) -> None:
    different = fingerprint.differences(found, expected)
    if different:
        raise NotComparable(
            f"not comparable with {against}: {'; '.join(different)}",
            hint="a baseline for the same device, with the same input and threads",
            different=different,
        )


def _refuse_other_pace(baseline: Stored, metric: Percentile, against: Path) -> None:
    """An instance's p99 over few runs is lower than over many: another pace makes a difference where there is none."""
    needed = stats.percentile_support(PERCENTILES[metric])
    fewest = min(sum(map(len, blocks)) for blocks in baseline.instances)
    if baseline.pace == gate.pace_of(metric) and fewest >= needed:
        return
    few = f"an instance has {fewest} runs, {metric} takes {needed}"
    raise NotComparable(
        f"{against} was not timed for {metric}: {few if fewest < needed else 'its blocks are of another length'}",
        hint=f"store one with --metric {metric}",
        runs=fewest,
    )


def _stored(file: Path, name: str) -> Stored:
    """The instances of one candidate of an earlier gate: of that name, or the only one.

    Raises
    ------
    InputError : it is no such file, none is of that name, or a time in it is missing or not above 0.
    """
    try:
        body = json.loads(file.read_bytes())
        measured = [msgspec.convert(model["measured"], Stored) for model in body["models"]]
    except (OSError, ValueError, TypeError, KeyError, msgspec.ValidationError) as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{file} is no stored measurement: {why}",
            hint="a bundle, or the gate.json that edgetl gate BUNDLE --baseline BUNDLE writes",
        ) from error
    named = [one for one in measured if one.name == name] or measured
    if len(named) != 1:
        raise InputError(
            f"{file} holds {', '.join(one.name for one in measured) or 'nothing'}, none is {name!r}",
            hint="the gate.json of one model, or of one that has its name",
        )
    blocks = [block for instance in named[0].instances for block in instance]
    times = [ns for block in blocks for ns in block]
    if not times or min(times) <= 0:
        found = f"a time of {min(times)} ns" if times else "no time at all"
        raise InputError(f"{file} holds {found}: expected times above 0", hint="measure it again")
    if not all(blocks) or not all(named[0].instances):
        raise InputError(
            f"{file} holds an instance without times: expected runs in each block", hint="measure it again"
        )
    return named[0]
