"""The section of a page on what it brought to fit the network to another place."""

from __future__ import annotations

from edgetl import stats
from edgetl.candidate import spoken
from edgetl.report import pictures_accuracy
from edgetl.report.html_facts import Adaptation, Facts, Paired
from edgetl.report.html_parts import Card, Section, interval_text
from edgetl.report.pictures_accuracy import Share

__all__ = ["cards", "sections"]


def sections(facts: Facts) -> list[Section]:
    """One, or none where the network was fitted to nothing."""
    found = facts.results.adaptation
    if found is None:
        return []
    note = "source: the labelled data's test images; bars are 95 % intervals of each, the sentence has the difference's"
    drawn = pictures_accuracy.shares(_rows(found, facts.shipped), _title(found), "top-1, %", note)
    return [Section("adaptation", "On the target", [drawn], [found.sentence, *found.lines])]


def cards(facts: Facts) -> list[Card]:
    """Accuracy on the target of what ships, where frames had labels."""
    found = facts.results.adaptation
    held = None if found is None else found.precision
    if held is None:
        return []
    right = held.candidate_accuracy
    interval = interval_text(stats.wilson(round(right * held.n), held.n), held.n)
    return [Card(f"{100 * right:.1f} %", "top-1 on the target", interval)]


def _rows(found: Adaptation, shipped: str) -> list[Share]:
    rows = []
    if found.gain is not None:
        rows += _pair("target", found.gain)
    if found.precision is not None and shipped != "f32":
        right, n = found.precision.candidate_accuracy, found.precision.n
        rows.append((f"target, {spoken(shipped)}", right, stats.wilson(round(right * n), n), True))
    return rows + _pair("source", found.source)


def _pair(where: str, pair: Paired) -> list[Share]:
    told = (("before", pair.reference_accuracy), ("after", pair.candidate_accuracy))
    return [
        (f"{where}, {when}", right, stats.wilson(round(right * pair.n), pair.n), False)
        for when, right in told
    ]


def _title(found: Adaptation) -> str:
    pair = found.gain
    if pair is None:
        return "No target frame has a label: what adaptation brought there is not known"
    points = 100 * (pair.candidate_accuracy - pair.reference_accuracy)
    verb = "gains" if points >= 0 else "loses"
    return f"Adaptation {verb} {abs(points):.1f} points on the target"
