"""The section of a page on what it brought to fit the network to another place."""

from __future__ import annotations

from edgetl import stats
from edgetl.report import pictures_accuracy
from edgetl.report.html_facts import Adaptation, Facts, Paired
from edgetl.report.html_parts import Section
from edgetl.report.pictures_accuracy import Share

__all__ = ["sections", "where"]


def sections(facts: Facts) -> list[Section]:
    """One, or none where the network was fitted to nothing."""
    found = facts.results.adaptation
    if found is None:
        return []
    note = "source: the labelled data's test images; bars are 95 % intervals of each, the sentence has the difference's"
    drawn = pictures_accuracy.shares(_rows(found), _title(found), "top-1, %", note)
    return [Section("adaptation", "On the target", [drawn], [found.sentence, *found.lines])]


def where(facts: Facts) -> str:
    """What the accuracy of the bundle is of, after the word for accuracy; empty where it was fitted to nothing."""
    found = facts.results.adaptation
    if found is None:
        return ""
    return " on the target" if found.gain is not None else " on the source; the target's is not known"


def _rows(found: Adaptation) -> list[Share]:
    target = [] if found.gain is None else _pair("target", found.gain)
    return target + _pair("source", found.source)


def _pair(where: str, pair: Paired) -> list[Share]:
    told = (("before", pair.reference_accuracy), ("after", pair.candidate_accuracy))
    return [
        (
            f"{where}, {when}",
            right,
            stats.wilson(round(right * pair.n), pair.n),
            (where, when) == ("target", "after"),
        )
        for when, right in told
    ]


def _title(found: Adaptation) -> str:
    pair = found.gain
    if pair is None:
        return "No target frame has a label: what adaptation brought there is not known"
    points = 100 * (pair.candidate_accuracy - pair.reference_accuracy)
    verb = "gains" if points >= 0 else "loses"
    return f"Adaptation {verb} {abs(points):.1f} points on the target"
