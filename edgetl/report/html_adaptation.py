"""The section of a page on what it brought to fit the network to another place."""

from __future__ import annotations

from edgetl import stats
from edgetl.candidate import spoken
from edgetl.report import pictures_accuracy
from edgetl.report.html_facts import Adaptation, Facts, Paired
from edgetl.report.html_parts import Section
from edgetl.report.pictures_accuracy import Share

__all__ = ["sections"]


def sections(facts: Facts) -> list[Section]:
    """One, or none where the network was fitted to nothing."""
    found = facts.results.adaptation
    if found is None:
        return []
    note = "bars are 95 % intervals of each alone; the sentence below has that of the difference"
    drawn = pictures_accuracy.shares(_rows(found, facts.shipped), _title(found), "top-1, %", note)
    return [Section("adaptation", "On the target", [drawn], [found.sentence, *found.lines])]


def _rows(found: Adaptation, shipped: str) -> list[Share]:
    rows = []
    if found.gain is not None:
        rows += _pair("target", found.gain)
    if found.precision is not None and shipped != "f32":
        right, n = found.precision.candidate_accuracy, found.precision.n
        rows.append((f"target, {spoken(shipped)}", right, stats.wilson(round(right * n), n), True))
    return rows + _pair("labelled data", found.source)


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
