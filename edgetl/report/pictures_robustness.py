"""The picture of corruptions: accuracy over severity of two engines, a small plot for each corruption."""

from __future__ import annotations

from collections.abc import Sequence

from edgetl.report import pictures
from edgetl.report.pictures import DASHES, WIDTH, Picture
from edgetl.report.pictures_axes import Axis, Plot
from edgetl.types import Corrupted, Robustness

__all__ = ["accuracy"]

COLUMNS, LEFT, TOP = 3, 40.0, 8.0
WIDE, TALL, GAP = (WIDTH - LEFT - 4) / COLUMNS, 66.0, 22.0
REFERENCE, CANDIDATE = 1, 0
"""Series: what is held against, dashed, and what ships."""


def accuracy(found: Robustness) -> Picture:
    """Top-1 in percent from clean to the hardest severity; a filled mark is a drop whose interval excludes none.

    Every plot has the same axes, so that corruptions can be held against one another.
    """
    drawn = ""
    low = _floor(found)
    names = [cost.corruption for cost in found.costs]
    for place, name in enumerate(names):
        left = LEFT + WIDE * (place % COLUMNS)
        top = TOP + (TALL + GAP) * (place // COLUMNS) + 14
        cells = [found.clean, *(cell for cell in found.cells if cell.corruption == name)]
        plot = Plot(Axis(-0.3, 5.3, left, left + WIDE - 10), Axis(low, 100, top + TALL - 14, top))
        last = place + COLUMNS >= len(names)
        drawn += _frame(plot, name, bold=name in found.costs_more, numbered=place % COLUMNS == 0, last=last)
        drawn += _curves(plot, cells, found)
    rows = -(-len(names) // COLUMNS)
    bottom = TOP + (TALL + GAP) * rows
    middle = TOP + (bottom - TOP) / 2
    drawn += pictures.text(12, middle, "top-1, %", "soft", anchor="middle", turned=True)
    drawn += pictures.text(
        LEFT + WIDE * min(len(names), COLUMNS) / 2, bottom + 6, "severity", "soft", anchor="middle"
    )
    entries = [(found.reference, REFERENCE), (found.candidate, CANDIDATE)]
    shown, height = pictures.legend(entries, bottom + 26, "line")
    of = (
        f"{found.n} images"
        if found.n == found.test_images
        else f"{found.n} of {found.test_images} test images"
    )
    note = (
        f"top-1 over severity, 0 is clean, {of}; a filled dot: the 95 % interval of {found.candidate}'s drop against "
        f"{found.reference} excludes 0; the dearest corruption first"
    )
    return Picture(_title(found), note, bottom + 20 + height, drawn + shown)


def _floor(found: Robustness) -> float:
    """The lower end of every axis: a multiple of 20 below all accuracies."""
    least = min(min(cell.reference, cell.candidate) for cell in (found.clean, *found.cells))
    return 20.0 * min(int(100 * least / 20), 4)


def _frame(plot: Plot, name: str, *, bold: bool, numbered: bool, last: bool) -> str:
    """Grid and name of one small plot; numbers on the left of the first and below the last ones only."""
    left, right, bottom, top = plot.x.start, plot.x.end, plot.y.start, plot.y.end
    drawn = pictures.text(
        left, top - 5, pictures.shortened(name.replace("_", " "), 19), "bold" if bold else ""
    )
    for value in (plot.y.low, (plot.y.low + 100) / 2, 100):
        place = plot.y.at(value)
        drawn += pictures.line(left, place, right, place, "axis" if value == plot.y.low else "grid")
        drawn += pictures.text(left - 4, place + 4, f"{value:g}", "soft", anchor="end") if numbered else ""
    if last:
        for value in (0, 1, 3, 5):
            drawn += pictures.text(plot.x.at(value), bottom + 13, f"{value}", "soft", anchor="middle")
    return drawn


def _curves(plot: Plot, cells: Sequence[Corrupted], found: Robustness) -> str:
    reference = [(plot.x.at(cell.severity), plot.y.at(100 * cell.reference)) for cell in cells]
    candidate = [(plot.x.at(cell.severity), plot.y.at(100 * cell.candidate)) for cell in cells]
    drawn = pictures.path(reference, f"s{REFERENCE} thick", dash=DASHES[REFERENCE])
    drawn += pictures.path(candidate, f"s{CANDIDATE}")
    for cell, (x, y) in zip(cells, candidate):
        low, high = cell.drop_ci95_pt
        told = (
            f"{cell.corruption} {cell.severity}: {found.reference} {100 * cell.reference:.1f} %, "
            f"{found.candidate} {100 * cell.candidate:.1f} %, drop {cell.drop_pt:+.1f} points [{low:+.1f}, {high:+.1f}]"
        )
        drawn += pictures.marker(CANDIDATE, x, y, size=2.4, hollow=low <= 0 <= high, told=told)
    return drawn


def _title(found: Robustness) -> str:
    dearest = found.costs[0]
    shown = [name.replace("_", " ") for name in found.costs_more]
    if not shown:
        many = f"none of {len(found.costs)} corruptions" if len(found.costs) > 1 else dearest.corruption
        return f"In {many} is {found.candidate} shown to lose more than on clean images"
    named = shown if len(shown) < 4 else [*shown[:2], f"{len(shown) - 2} more"]
    *first, last = named
    told = f"{', '.join(first)} and {last}" if first else last
    return f"{found.candidate} loses more than on clean images in {told}"
