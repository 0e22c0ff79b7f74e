"""The picture of a device's latency from build to build."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgetl.report import pictures
from edgetl.report.pictures import DASHES, WIDTH, Picture
from edgetl.report.pictures_axes import Axis, Plot, axis_over

__all__ = ["Dot", "Level", "history"]

LEFT, RIGHT, TOP, BOTTOM = 52.0, WIDTH - 12.0, 30.0, 220.0
LABELS = 9
"""Builds that are named on the axis; more would not have room."""


@dataclass(frozen=True)
class Dot:
    """One build: its label on the axis, p50 in ms with its interval, and which series it belongs to."""

    label: str
    p50_ms: float
    interval: tuple[float, float] | None
    series: int


@dataclass(frozen=True)
class Level:
    """A part of a series without a change: the places of its dots, its mean in ms, and the change before it."""

    places: Sequence[int]
    mean_ms: float
    series: int
    change: str


def history(
    dots: Sequence[Dot], levels: Sequence[Level], names: Sequence[str], title: str, note: str
) -> Picture:
    """Every build with its interval, the level of each part, and a line where it changed.

    Parameters
    ----------
    dots : by time. names : of the series, for the legend; none is drawn for one alone.
    """
    ends = [end for dot in dots for end in (dot.interval or (dot.p50_ms, dot.p50_ms))]
    plot = Plot(Axis(-0.6, len(dots) - 0.4, LEFT, RIGHT), axis_over(ends, BOTTOM, TOP))
    drawn = _frame(plot, dots)
    for level in levels:
        first, last = plot.x.at(level.places[0] - 0.4), plot.x.at(level.places[-1] + 0.4)
        y = plot.y.at(level.mean_ms)
        drawn += pictures.line(
            first, y, last, y, f"s{level.series % pictures.SERIES} thick", dash=DASHES[level.series % 6]
        )
        if level.change:
            x = plot.x.at(level.places[0] - 0.5)
            on_left = x > (LEFT + RIGHT) / 2
            drawn += pictures.line(x, TOP, x, BOTTOM, "limit", dash="5 3")
            drawn += pictures.text(
                x + (-5 if on_left else 5), TOP - 8, level.change, "bad", anchor="end" if on_left else "start"
            )
    for place, dot in enumerate(dots):
        x, low, high = plot.x.at(place), *(dot.interval or (dot.p50_ms, dot.p50_ms))
        drawn += pictures.line(x, plot.y.at(low), x, plot.y.at(high), f"s{dot.series % pictures.SERIES} thin")
        drawn += pictures.marker(
            dot.series, x, plot.y.at(dot.p50_ms), told=f"{dot.label}: {dot.p50_ms:.4g} ms"
        )
    height = 0.0
    if len(names) > 1:
        shown, height = pictures.legend(list(zip(names, range(len(names)))), BOTTOM + 88, "mark")
        drawn += shown
    return Picture(title, note, BOTTOM + 76 + height, drawn)


def _frame(plot: Plot, dots: Sequence[Dot]) -> str:
    """The axes; the lower one names builds, as many as have room."""
    drawn = ""
    for value in plot.y.marks():
        place = plot.y.at(value)
        drawn += pictures.line(LEFT, place, RIGHT, place, "grid")
        drawn += pictures.text(LEFT - 6, place + 4, f"{value:g}", "soft", anchor="end")
    step = -(-len(dots) // LABELS)
    for place in range(0, len(dots), step):
        x = plot.x.at(place)
        drawn += pictures.line(x, BOTTOM, x, BOTTOM + 4, "axis")
        drawn += pictures.text(x + 4, BOTTOM + 8, dots[place].label, "soft", anchor="end", turned=True)
    drawn += pictures.line(LEFT, BOTTOM, RIGHT, BOTTOM, "axis")
    return drawn + pictures.text(
        12, (BOTTOM + TOP) / 2, "p50 of one inference, ms", "soft", anchor="middle", turned=True
    )
