"""Names beside the marks of a picture: each as near as it can be without covering another name or a mark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgetl.report import pictures

__all__ = ["Box", "Named", "drawn", "placed", "width_of"]

CHARACTER, ABOVE, BELOW = 6.8, 10.0, 3.5
"""Of a name in the size of a picture's text: width of a character, and what is over and under its ground line."""
RADIUS = 6.0
"""Of a mark, with its line."""
GAP = 9.0
STEPS = (-3.0, 4.0, -11.0, 16.0, 28.0, -24.0, 41.0, -37.0, 54.0, -50.0)
"""Ground lines to try, from the mark's centre, the nearest first."""
LED = 20.0
"""From this distance on a line leads from the mark to its name."""
CROSSING, LEFTWARDS, STEP = 1.5, 0.4, 1.0
"""What it costs to cover an interval's line, to stand left of the mark, and to be a step further off."""


@dataclass(frozen=True)
class Box:
    """A part of a picture, in its units; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether the two share any of the picture."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def holds(self, other: Box) -> bool:
        """Whether the other lies in this one."""
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )


@dataclass(frozen=True)
class Named:
    """A mark at (x, y) with its name, and the ends of its interval on the picture, ``low`` below ``high``."""

    name: str
    x: float
    y: float
    low: float
    high: float
    bold: bool = False


@dataclass(frozen=True)
class _Spot:
    box: Box
    on_left: bool
    cost: float


def width_of(name: str) -> float:
    """About how wide a name is drawn."""
    return CHARACTER * len(name)


def placed(marks: Sequence[Named], inside: Box, taken: Iterable[Box] = ()) -> dict[int, tuple[Box, bool]]:
    """Where each name goes, by its place in ``marks``, and whether it stands left of its mark.

    Bold names come first, then those with the least room; one that finds none is left out.

    Parameters
    ----------
    inside : what a name may not leave. taken : what no name may cover.
    """
    dots = [Box(one.x - RADIUS, one.y - RADIUS, one.x + RADIUS, one.y + RADIUS) for one in marks]
    bars = [Box(one.x - 1, one.high, one.x + 1, one.low) for one in marks]
    covered = [*taken, *dots]
    free = [
        [spot for spot in _spots(one, bars) if inside.holds(spot.box) and _is_free(spot, covered)]
        for one in marks
    ]
    found: dict[int, tuple[Box, bool]] = {}
    for place in sorted(range(len(marks)), key=lambda place: (not marks[place].bold, len(free[place]))):
        left = [spot for spot in free[place] if _is_free(spot, [box for box, _ in found.values()])]
        if left:
            best = min(left, key=lambda spot: spot.cost)
            found[place] = best.box, best.on_left
    return found


def _is_free(spot: _Spot, covered: Iterable[Box]) -> bool:
    return not any(spot.box.meets(other) for other in covered)


def _spots(one: Named, bars: Sequence[Box]) -> Iterable[_Spot]:
    wide = width_of(one.name)
    for step, down in enumerate(STEPS):
        for on_left in (False, True):
            start = one.x - GAP - wide if on_left else one.x + GAP
            box = Box(start, one.y + down - ABOVE, start + wide, one.y + down + BELOW)
            crossed = sum(box.meets(bar) for bar in bars)
            yield _Spot(box, on_left, CROSSING * crossed + LEFTWARDS * on_left + STEP * step)


def drawn(marks: Sequence[Named], inside: Box, taken: Iterable[Box] = ()) -> str:
    """The names as SVG, with a line from the mark to a name that is far from it."""
    parts = []
    for place, (box, on_left) in placed(marks, inside, taken).items():
        one = marks[place]
        near, ground = (box.right if on_left else box.left), box.bottom - BELOW
        middle = ground - (ABOVE - BELOW) / 2
        if abs(middle - one.y) > LED:
            parts.append(pictures.line(one.x, one.y, near, middle, "axis"))
        kind, anchor = ("bold halo" if one.bold else "halo"), ("end" if on_left else "start")
        parts.append(pictures.text(near, ground, one.name, kind, anchor=anchor))
    return "".join(parts)
