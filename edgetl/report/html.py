"""A page over one or more bundles: one HTML file that asks nothing of a network and runs no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from edgetl.candidate import spoken
from edgetl.report import pictures, pictures_pareto
from edgetl.report.html_engine import points
from edgetl.report.html_facts import Facts
from edgetl.report.html_parts import Card, Section, Table, ms
from edgetl.report.html_sections import cards, sections
from edgetl.report.pictures import Picture
from edgetl.report.summary import bytes_text
from edgetl.words import counted

__all__ = ["page"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CHANGES_SHOWN = 15
SURROUNDINGS = ("governor", "power_mode", "clocks_fixed", "usable_cores", "cpu_limit")
"""Of the context: what decides a latency and is set by somebody."""


@dataclass(frozen=True)
class _Part:
    """One bundle on the page."""

    letter: str
    facts: Facts
    cards: list[Card]
    sections: list[Section]


def page(bundles: Sequence[Facts], changes: Sequence[Mapping[str, Any]] | None, *, data_given: bool) -> str:
    """The HTML of a report.

    Parameters
    ----------
    bundles : at least one; several are set side by side first.
    changes : of the layers from the first to the second of two, each ``{name, what, sentence}``; ``None`` where there
        is nothing to compare.
    data_given : the user said where the pictures are.
    """
    letters = [_letter(number) for number in range(len(bundles))]
    parts = [
        _Part(letter, facts, cards(facts), sections(facts, data_given))
        for letter, facts in zip(letters, bundles)
    ]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["svg"] = _svg
    template = environment.get_template("report.html")
    return template.render(
        title=_title(bundles),
        parts=parts,
        together=_together(bundles, letters, changes) if len(bundles) > 1 else None,
        style=markupsafe.Markup(pictures.STYLE),  # noqa: S704 (a constant)
        defs=markupsafe.Markup(pictures.DEFS),  # noqa: S704
    )


def _svg(picture: Picture) -> markupsafe.Markup:
    """A picture as it is: whatever was written into it is escaped already."""
    return markupsafe.Markup(picture.inline())  # noqa: S704


def _letter(number: int) -> str:
    return LETTERS[number] if number < len(LETTERS) else str(number + 1)


def _title(bundles: Sequence[Facts]) -> str:
    names = list(dict.fromkeys(facts.manifest.name for facts in bundles))
    return f"edgetl: {', '.join(names)}"


def _together(
    bundles: Sequence[Facts], letters: Sequence[str], changes: Sequence[Mapping[str, Any]] | None
) -> Section:
    """All bundles in one table, their accuracy against their latency, and what changed between two."""
    heads = ("", "p50", "p90", "top-1", "95 % interval", "size", "ships", "device", "bundle")
    table = Table(heads, [_row(*pair) for pair in zip(letters, bundles)], (1, 2, 3, 4, 5))
    spots = [
        spot
        for number, (letter, facts) in enumerate(zip(letters, bundles))
        for spot in points(facts, number, f"{letter} ")
    ]
    drawn = []
    missing = _differences(bundles)
    if len(spots) > 1:
        named = [
            f"{letter}: {facts.manifest.name}, {facts.manifest.created}"
            for letter, facts in zip(letters, bundles)
        ]
        front = "" if missing else ", the dotted line is the front"
        note = f"bars are 95 % intervals; filled marks ship, hollow ones were tried{front}"
        drawn.append(pictures_pareto.tradeoff(spots, named, note, comparable=not missing))
    else:
        missing.append("accuracy against latency takes two engines that were timed")
    tables, lines = [table], list[str]()
    if changes is not None:
        lines, more = _changes(changes, letters)
        lines += _around(*bundles)
        tables += more
    return Section("together", "Side by side", drawn, lines, tables, missing=missing)


def _differences(bundles: Sequence[Facts]) -> list[str]:
    """Why accuracies or latencies of these bundles must not be held against each other."""
    told = []
    if len({facts.manifest.data.get("test") for facts in bundles}) > 1:
        told.append("the bundles were tested on different images: their accuracies are not comparable")
    machines = list(dict.fromkeys(facts.machine() for facts in bundles))
    if len(machines) > 1:
        named = ", ".join(" ".join(machine) for machine in machines)
        told.append(
            f"the bundles are of different devices or hosts ({named}): their latencies are not comparable"
        )
    return told


def _changes(changes: Sequence[Mapping[str, Any]], letters: Sequence[str]) -> tuple[list[str], list[Table]]:
    pair = f"{letters[0]} to {letters[1]}"
    if not changes:
        return [f"from {pair} no layer changed in time, precision or fusion"], []
    rows = [
        (str(one["name"]), ", ".join(one["what"]), str(one["sentence"])) for one in changes[:CHANGES_SHOWN]
    ]
    line = f"from {pair} {counted(len(changes), 'layer')} changed, the one that costs most first"
    return [line], [Table(("layer", "changed", "how"), rows, left_out=max(len(changes) - CHANGES_SHOWN, 0))]


def _around(first: Facts, second: Facts) -> list[str]:
    """What changed around the layers: the tools that built the engines, and the state of the host."""
    before, after = _surroundings(first), _surroundings(second)
    told = [
        f"{name} {before.get(name) or 'unknown'} to {after.get(name) or 'unknown'}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    return (
        [f"around them changed: {', '.join(told)}"] if told else ["tools and state of the host are the same"]
    )


def _surroundings(facts: Facts) -> dict[str, Any]:
    context = facts.results.context or {}
    return {**facts.manifest.versions, **{name.replace("_", " "): context.get(name) for name in SURROUNDINGS}}


def _row(letter: str, facts: Facts) -> list[str]:
    accuracy, latency = facts.results.accuracy.shipped, facts.latency()
    interval = None if accuracy is None else facts.interval(accuracy)
    size = facts.results.size_bytes.get(facts.shipped)
    return [
        letter,
        ms(latency.p50),
        ms(latency.p90),
        "n/a" if accuracy is None else f"{100 * accuracy:.1f} %",
        "n/a" if interval is None else f"[{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]",
        bytes_text(size) if size else "n/a",
        f"{spoken(facts.shipped)} (pending)" if facts.manifest.pending else spoken(facts.shipped),
        facts.manifest.device,
        f"{facts.manifest.name}, {facts.manifest.model}, {facts.manifest.created}",
    ]
