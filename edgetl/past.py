"""``edgetl history``: the latency of a device from build to build, and where it changed."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from edgetl import asked
from edgetl.bench import fingerprint
from edgetl.bench import history as results_of
from edgetl.bench.context import Context
from edgetl.bench.history import KIND, SCHEMA, Result, Series
from edgetl.bundles import Answer, opened
from edgetl.cache import out_of_space, write_whole
from edgetl.errors import BundleError, InputError
from edgetl.report import html_facts
from edgetl.report.pictures_history import Dot, Level
from edgetl.report.pictures_history import history as drawn
from edgetl.runtime.bundle import MANIFEST, Bundle
from edgetl.words import counted

__all__ = ["history"]

SHORT_COMMIT = 8
FEWEST = 10
"""From so many results on the permutation test can be relied on to pass a clear step: 2 in 252 orders are as clear."""
MAX_BYTES = 1 << 20
"""A result is a few kilobytes."""
_NS_IN_MS = 1e6


def history(places: Sequence[Path], *, name: str | None, save: Path | None, picture: Path | None) -> Answer:
    """Every result below the places by time, in series that can be compared.

    Parameters
    ----------
    places : bundles, stored results, or folders of either.
    name : of the bundles to look at; all where it is ``None``.
    save : folder where a bundle's result is kept as a small file; all that is there counts too.
    picture : SVG file to write, of one name and device.

    Raises
    ------
    InputError : there is no result, a file that is named is not one, or a picture is asked for of several names or
        devices.
    BundleError : a byte of a bundle that is named differs.
    """
    asked.svg(picture, "--picture")
    found: list[Result] = []
    skipped: list[str] = []
    for place in places:
        _collect(place, found, skipped)
    if save is not None:
        _keep(found, save)
        _collect(save, found, skipped)
    chosen = [result for result in found if name is None or result.name == name]
    if not chosen:
        raise InputError(
            f"no result of a timed engine in {', '.join(map(str, places))}"
            + (f" has the name {name!r}" if name else ""),
            hint="; ".join(skipped[:3]) or "edgetl build writes bundles; --save DIR keeps their results",
        )
    told = results_of.series(chosen)
    groups = _groups(told)
    lines = [line for group in groups.values() for line in _lines(group)]
    lines += [f"  left out   {reason}" for reason in skipped]
    if picture is not None:
        if len(groups) > 1:
            raise InputError(
                f"a picture is of one name and device, these are {', '.join(' on '.join(key) for key in groups)}",
                hint="--name NAME",
            )
        _draw(picture, next(iter(groups.values())))
        lines.append(f"  picture    {picture}")
    return Answer({"series": [_data(one) for one in told], "left_out": skipped}, lines)


def _collect(place: Path, found: list[Result], skipped: list[str]) -> None:
    """Add what a place holds: a bundle, a stored result, or all of them below a folder."""
    if place.is_dir() and not (place / MANIFEST).is_file():
        for inside in _below(place):
            try:
                _add(inside, found, skipped)
            except InputError as error:  # one that is damaged, or of a newer edgetl, does not hide the others
                skipped.append(f"{inside}: {error.problem}")
    else:
        _add(place, found, skipped)


def _add(place: Path, found: list[Result], skipped: list[str]) -> None:
    if place.suffix == ".json":
        found.append(_stored(place))
        return
    with opened(place) as bundle:
        result = _result(bundle)
    if isinstance(result, str):
        skipped.append(f"{place}: {result}")
    else:
        found.append(result)


def _below(place: Path) -> Iterator[Path]:
    """Bundles and stored results of a folder, sorted; other JSON is none of ours.

    Links are not followed: ``latest`` is one of the others.
    """
    for folder, folders, names in os.walk(place):
        if MANIFEST in names:
            folders.clear()
            yield Path(folder)
            continue
        folders[:] = sorted(
            name for name in folders if not name.startswith(".")
        )  # a bundle that is being written
        files = (Path(folder, name) for name in sorted(names) if name.endswith(".json"))
        yield from (file for file in files if _kind(file) == KIND)


def _kind(file: Path) -> object:
    """What a JSON file says that it is; ``None`` where it says nothing, or a link leads nowhere or to no file."""
    if not file.is_file() or file.stat().st_size > MAX_BYTES:
        return None
    try:
        body = msgspec.json.decode(file.read_bytes())
    except (msgspec.DecodeError, RecursionError):
        return None
    return body.get("kind") if isinstance(body, dict) else None


def _stored(file: Path) -> Result:
    if _kind(file) != KIND:
        raise InputError(
            f"{file} is no result of a build", hint="edgetl history BUNDLE --save DIR writes them"
        )
    try:
        result = msgspec.json.decode(file.read_bytes(), type=Result)
    except msgspec.DecodeError as error:
        raise InputError(
            f"{file} is not what edgetl history --save writes: {error}", hint="remove it"
        ) from error
    if result.schema > SCHEMA:
        raise InputError(
            f"{file} has schema {result.schema}, this edgetl reads up to {SCHEMA}",
            hint="pip install --upgrade edgetl",
        )
    if not result.p50_ms or not all(0 < value < float("inf") for value in result.p50_ms):
        raise InputError(f"{file} has a latency that is not above 0", hint="remove it")
    return result


def _result(bundle: Bundle) -> Result | str:
    """What a bundle came to, or why it has no result."""
    if bundle.manifest.pending is not None:
        return "its engine is still to be built"
    facts = html_facts.read(bundle, str(bundle.folder))
    instances = facts.blocks.get(facts.shipped)
    host = _context(bundle, facts)
    if not instances or host is None:
        return "its engine was not timed"
    engine = bundle.engine
    return Result(
        name=bundle.manifest.name,
        created=bundle.manifest.created,
        commit=bundle.manifest.caller_commit,
        manifest=bundle.manifest.sha256,
        model=bundle.manifest.model,
        candidate=facts.shipped,
        p50_ms=tuple(statistics.median(ns for block in one for ns in block) / _NS_IN_MS for one in instances),
        accuracy=facts.results.accuracy.shipped,
        n=facts.results.accuracy.n,
        size_bytes=facts.results.size_bytes.get(facts.shipped),
        subject=fingerprint.subject_of(bundle.manifest.device, engine),
        host=fingerprint.host_of(host, engine),
    )


def _context(bundle: Bundle, facts: html_facts.Facts) -> Context | None:
    """The host when its latency was measured."""
    if facts.results.context is None:
        return None
    try:
        return msgspec.convert(facts.results.context, Context)
    except msgspec.ValidationError as error:
        raise BundleError(
            f"results.json is not what a build writes: {error}", hint="build it again", file="results.json"
        ) from error


def _keep(found: Sequence[Result], folder: Path) -> None:
    with out_of_space(folder.parent):
        folder.mkdir(parents=True, exist_ok=True)
    for result in found:
        write_whole(folder / results_of.file_name(result), results_of.written(result))


def _groups(found: Sequence[Series]) -> dict[tuple[str, str], list[Series]]:
    groups: dict[tuple[str, str], list[Series]] = {}
    for one in found:
        first = one.results[0]
        groups.setdefault((first.name, first.subject.device), []).append(one)
    return groups


def _lines(group: Sequence[Series]) -> list[str]:
    first = group[0].results[0]
    total = sum(len(one.results) for one in group)
    lines = [f"  {first.name} for {first.subject.device} · {counted(total, 'result')}"]
    for one in group:
        if one.apart:
            lines.append(f"    not compared with the above: {'; '.join(one.apart)}")
        lines.append(
            f"    {'built':<20} {'commit':<9} {'ships':<14} {'p50':>10}   {'95 % interval':<18} {'top-1':>7}"
        )
        at = {change.at: change for change in one.changes}
        for place, result in enumerate(one.results):
            if place in at:
                change = at[place]
                percent = 100 * (change.ratio - 1)
                lines.append(
                    f"    ▸ changed here: {change.before_ms:.4g} to {change.after_ms:.4g} ms ({percent:+.1f} %)"
                )
            lines.append(_row(result))
        if not one.changes:
            lines.append(f"    {_unchanged(len(one.results))}")
    return [*lines, ""]


def _row(result: Result) -> str:
    interval = result.interval()
    span = "one instance" if interval is None else f"[{interval[0]:.4g}, {interval[1]:.4g}]"
    accuracy = "n/a" if result.accuracy is None else f"{100 * result.accuracy:.1f} %"
    return (
        f"    {result.created:<20} {(result.commit or 'none')[:SHORT_COMMIT]:<9} {result.candidate:<14} "
        f"{result.centre():>7.4g} ms   {span:<18} {accuracy:>7}"
    )


def _unchanged(count: int) -> str:
    if count < FEWEST:
        few = f"{counted(count, 'result')}: a change takes {FEWEST} to be found"
        return f"{few}; edgetl gate compares two"
    return "no change found"


def _draw(picture: Path, group: Sequence[Series]) -> None:
    ordered = sorted(
        ((result, number) for number, one in enumerate(group) for result in one.results),
        key=lambda pair: (pair[0].created, pair[0].manifest),
    )
    place_of = {result.manifest: place for place, (result, _) in enumerate(ordered)}
    dots = [Dot(_label(result), result.centre(), result.interval(), number) for result, number in ordered]
    levels = []
    for number, one in enumerate(group):
        changes = ["", *(f"{100 * (change.ratio - 1):+.1f} %" for change in one.changes)]
        for (first, end, mean), change in zip(one.means_ms(), changes):
            levels.append(Level([place_of[r.manifest] for r in one.results[first:end]], mean, number, change))
    names = [_label(one.results[0]) + " on" if one.apart else "first series" for one in group]
    made = drawn(dots, levels, names, _title(group), _note(group))
    write_whole(picture, made.file().encode("utf-8", errors="replace"))


def _label(result: Result) -> str:
    return result.commit[:SHORT_COMMIT] if result.commit else result.created[5:10]


def _title(group: Sequence[Series]) -> str:
    first = group[0].results[0]
    whose = f"{first.name} on {first.subject.device}"
    changes = [(one.results[change.at], change) for one in group for change in one.changes]
    if not changes:
        return f"{whose}: no change found in {counted(sum(len(one.results) for one in group), 'build')}"
    result, last = changes[-1]
    word = "slower" if last.ratio > 1 else "faster"
    return f"{whose}: {100 * abs(last.ratio - 1):.1f} % {word} since {_label(result)}"


def _note(group: Sequence[Series]) -> str:
    note = "marks are builds with their 95 % intervals, lines the levels between changes (E-divisive means)"
    apart = [reason for one in group for reason in one.apart]
    return f"{note}; other marks are not compared: {'; '.join(apart)}" if apart else note


def _data(one: Series) -> dict[str, Any]:
    return {
        "name": one.results[0].name,
        "device": one.results[0].subject.device,
        "apart": list(one.apart),
        "results": [
            {**msgspec.to_builtins(result), "centre_ms": result.centre(), "ci95_ms": result.interval()}
            for result in one.results
        ],
        "changes": [
            {"at": change.at, "commit": one.results[change.at].commit, "before_ms": change.before_ms,
             "after_ms": change.after_ms, "ratio": change.ratio}
            for change in one.changes
        ],
    }  # fmt: skip
