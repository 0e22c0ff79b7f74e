"""What a rule and a breach of it are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from edgetl.types import Record

__all__ = ["LEVELS", "Fault", "Finding", "Level", "Rule", "table"]

Level = Literal["error", "warning", "build", "unchecked"]

LEVELS: Mapping[Level, str] = {
    "error": "the target refuses the graph, or computes something else",
    "warning": "it is accepted, and costs time or accuracy",
    "build": "only the vendor's builder on the device can tell",
    "unchecked": "no graph shows it",
}


class Rule(Record, frozen=True, kw_only=True):
    """One rule.

    Attributes
    ----------
    number : R1 to R43 and T1 to T4 for TensorRT, O1 and on for OpenVINO.
    level : what a breach means, or who checks it instead (``LEVELS``).
    says : the rule in a sentence.
    mend : what mends a breach; where no graph can break the rule, what stands in its place.
    source : who says so.
    """

    number: str
    level: Level
    says: str
    mend: str
    source: str


class Fault(Record, frozen=True):
    """A breach, before it is known of which rule: the node, and what is wrong with it."""

    node: str
    problem: str


class Finding(Record, frozen=True, kw_only=True):
    """A breach of a rule."""

    rule: Rule
    node: str
    problem: str


def table(rules: Iterable[tuple[str, Level, str, str, str]]) -> Mapping[str, Rule]:
    """Rules by number, from rows of number, level, what it says, mend, source."""
    return {
        number: Rule(number=number, level=level, says=says, mend=mend, source=source)
        for number, level, says, mend, source in rules
    }
