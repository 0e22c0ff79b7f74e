"""Which placement of integers is fastest where it runs: all are tried for a little while, the best of them for long."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from edgetl.errors import BackendError
from edgetl.search.placements import PLAIN, Placement
from edgetl.types import Record

__all__ = ["Raced", "Ratio", "search"]

FINALISTS = 2
"""So many are timed for long: more take time, and chance picks among them."""

Outcome = Literal["kept", "not faster", "over the accuracy budget", "refused", "the same model"]


class Ratio(Protocol):
    """Time over that of the plain placement, as a comparison of engines tells it."""

    @property
    def ratio(self) -> float:
        """The estimate."""

    @property
    def ci95(self) -> tuple[float, float]:
        """Its interval."""

    @property
    def verdict(self) -> str:
        """``faster`` where the whole interval is below 1 by a margin."""


class Raced(Record, frozen=True, kw_only=True):
    """A placement and how it did.

    Attributes
    ----------
    ratio : of its latency to that of the plain placement, with ``ci95``; ``None`` where it was not timed.
    drop_pt : points of top-1 lost on the ``select`` images; ``None`` where it was too slow to look at.
    """

    name: str
    outcome: Outcome
    ratio: float | None = None
    ci95: tuple[float, float] | None = None
    drop_pt: float | None = None


def search(
    placements: Sequence[Placement],
    *,
    make: Callable[[Placement], str],
    screen: Callable[[Sequence[Placement]], Mapping[str, Ratio]],
    final: Callable[[Sequence[Placement]], Mapping[str, Ratio]],
    drop: Callable[[Placement], float],
    most_drop: float,
) -> tuple[Placement, list[Raced]]:
    """The fastest placement that keeps the accuracy, and what became of each.

    The plain one is replaced only by one that is surely faster.

    Parameters
    ----------
    placements : the plain one first.
    make : compile an engine; the digest of its model, by which the same model is timed once.
    screen, final : time the engines of these placements against the plain one, shortly and for long; by name.
    drop : points of top-1 that a placement's engine loses.
    most_drop : more may not be lost.
    """
    plain, *others = placements
    assert plain.name == PLAIN
    running, rows = _distinct(plain, others, make)
    ratios = dict(screen([plain, *running])) if running else {}
    promising = sorted(
        (one for one in running if ratios[one.name].ratio < 1), key=lambda one: ratios[one.name].ratio
    )
    drops = {one.name: drop(one) for one in promising[:FINALISTS]}
    held = [one for one in promising[:FINALISTS] if drops[one.name] <= most_drop]
    if held:
        ratios |= final([plain, *held])
    won = [one for one in held if ratios[one.name].verdict == "faster"]
    best = min(won, key=lambda one: ratios[one.name].ratio, default=plain)
    for one in running:
        over = drops.get(one.name, -math.inf) > most_drop
        rows[one.name] = Raced(
            name=one.name,
            outcome="kept" if one is best else "over the accuracy budget" if over else "not faster",
            ratio=ratios[one.name].ratio,
            ci95=ratios[one.name].ci95,
            drop_pt=drops.get(one.name),
        )
    return best, [rows[one.name] for one in others]


def _distinct(
    plain: Placement, others: Sequence[Placement], make: Callable[[Placement], str]
) -> tuple[list[Placement], dict[str, Raced]]:
    """The placements that gave a model of their own that the device takes, and rows for those that did not."""
    seen = {make(plain)}
    running: list[Placement] = []
    rows: dict[str, Raced] = {}
    for one in others:
        try:
            made = make(one)
        except BackendError:
            rows[one.name] = Raced(name=one.name, outcome="refused")
            continue
        if made in seen:
            rows[one.name] = Raced(name=one.name, outcome="the same model")
            continue
        seen.add(made)
        running.append(one)
    return running, rows
