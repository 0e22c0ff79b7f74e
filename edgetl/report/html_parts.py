"""What a page is made of: sections with pictures, tables, photographs and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgetl.candidate import CANDIDATES
from edgetl.report.pictures import Picture

__all__ = ["Card", "Photo", "Section", "Table", "interval_text", "ms", "ordered"]


@dataclass(frozen=True)
class Table:
    """Rows under heads; ``numbers`` are columns set to the right, ``left_out`` rows that are not shown."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()
    left_out: int = 0
    folded: str = ""


@dataclass(frozen=True)
class Photo:
    """One of the worst images, as a data URI, or a sentence in its place."""

    uri: str
    why: str
    label: str
    answer: str
    told: str
    wrong: bool


@dataclass(frozen=True)
class Section:
    """A heading and what is below it; ``missing`` says what is not there and what brings it."""

    key: str
    heading: str
    pictures: Sequence[Picture] = ()
    lines: Sequence[str] = ()
    tables: Sequence[Table] = ()
    photos: Sequence[Photo] = ()
    missing: Sequence[str] = ()


@dataclass(frozen=True)
class Card:
    """A figure that is read first: the value, what it is, and a detail."""

    value: str
    label: str
    detail: str


def ordered(names: Sequence[str]) -> list[str]:
    """Candidates in the order of the summary: f32, default, int8, then those of other backends."""
    return sorted(
        names,
        key=lambda name: (name not in CANDIDATES, CANDIDATES.index(name) if name in CANDIDATES else 0, name),
    )


def interval_text(interval: tuple[float, float], n: int | None) -> str:
    """An interval of a share, in percent, and what it is of."""
    return f"95 % interval [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}], {n} images"


def ms(value: float | None) -> str:
    """Milliseconds, three digits."""
    return "n/a" if value is None else f"{value:.3g} ms"
