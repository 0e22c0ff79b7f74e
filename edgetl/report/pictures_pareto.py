"""The picture of what one gives for what: accuracy against latency, and those that nothing beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgetl.report import pictures, pictures_names
from edgetl.report.pictures import SERIES, WIDTH, Picture
from edgetl.report.pictures_axes import Plot, axis_over
from edgetl.report.pictures_names import Box, Named, width_of

__all__ = ["Point", "front", "tradeoff"]

LEFT, RIGHT, TOP, BOTTOM = 52.0, WIDTH - 16.0, 14.0, 230.0
WIDE_SPAN = 8.0
"""From this ratio of the slowest to the fastest on, the axis of latency is logarithmic."""
INSIDE = Box(LEFT + 2, TOP - 12, WIDTH - 2, BOTTOM - 2)
"""Where names may stand."""


@dataclass(frozen=True)
class Point:
    """A candidate of a bundle: its name, p50 in ms, accuracy from 0 to 1 with its interval, and who it belongs to."""

    name: str
    p50_ms: float
    accuracy: float
    interval: tuple[float, float]
    series: int
    shipped: bool


def front(points: Sequence[Point]) -> list[Point]:
    """Those that no other one beats: none is as fast and more accurate, or faster and as accurate; fastest first.

    >>> spot = lambda ms, share: Point("", ms, share, (share, share), 0, False)
    >>> [p.p50_ms for p in front([spot(2.0, 0.9), spot(1.0, 0.8), spot(3.0, 0.85)])]
    [1.0, 2.0]
    """
    best = -1.0
    kept = []
    for point in sorted(points, key=lambda point: (point.p50_ms, -point.accuracy)):
        if point.accuracy > best:
            kept.append(point)
            best = point.accuracy
    return kept


def tradeoff(
    points: Sequence[Point],
    names: Sequence[str],
    note: str,
    *,
    comparable: bool = True,
    measure: str = "top-1, %",
    title: str = "",
    limit_ms: float | None = None,
) -> Picture:
    """Every candidate with its interval, and the front.

    Parameters
    ----------
    comparable : all were tested on the same images and timed on the same host; without that there is no front.
    names : what each series stands for, for the legend; none is drawn for one alone.
    measure : what the accuracies are of. title : in place of what the front shows. limit_ms : of latency, a line.
    """
    speeds = [point.p50_ms for point in points] + ([] if limit_ms is None else [limit_ms])
    x = axis_over(speeds, LEFT, RIGHT, log=max(speeds) > WIDE_SPAN * min(speeds), margin=0.14)
    ends = [100 * value for point in points for value in point.interval]
    plot = Plot(x, axis_over(ends, BOTTOM, TOP))
    drawn = plot.frame("p50 of one inference, ms (to the left is faster)", measure)
    if limit_ms is not None:
        drawn += _limit(plot, limit_ms)
    kept = front(points)
    if comparable:
        drawn += pictures.path(_stairs(plot, kept), "front")
    is_one = len(names) < 2
    drawn += "".join(_mark(plot, point) for point in points)
    named = [_named(plot, point) for point in points if is_one or point.shipped]
    drawn += pictures_names.drawn(named, INSIDE, [] if limit_ms is None else [_limit_box(plot, limit_ms)])
    height = 0.0
    if not is_one:
        drawn_names, height = pictures.legend(list(zip(names, range(len(names)))), BOTTOM + 58, "mark")
        drawn += drawn_names
    found = _title(points, kept) if comparable else "Accuracy and latency, each on its own images and host"
    return Picture(title or found, note, BOTTOM + 44 + height, drawn)


def _stairs(plot: Plot, kept: Sequence[Point]) -> list[tuple[float, float]]:
    """Straight to the right until the next one is more accurate."""
    corners: list[tuple[float, float]] = []
    for point in kept:
        here = plot.x.at(point.p50_ms), plot.y.at(100 * point.accuracy)
        corners += [(here[0], corners[-1][1])] if corners else [(here[0], BOTTOM)]
        corners.append(here)
    return [*corners, (RIGHT, corners[-1][1])]


def _limit(plot: Plot, ms: float) -> str:
    """The line that what is as fast as asked for stands left of."""
    place, box = plot.x.at(ms), _limit_box(plot, ms)
    told = pictures.text(box.right, box.bottom - 4, _limit_name(ms), "bad halo", anchor="end")
    return pictures.line(place, TOP, place, BOTTOM, "limit", dash="6 3") + told


def _limit_box(plot: Plot, ms: float) -> Box:
    """Of its name, at the foot of the line: what is recommended stands at the top."""
    right = plot.x.at(ms) - 5
    return Box(right - width_of(_limit_name(ms)), BOTTOM - 18, right, BOTTOM - 4)


def _limit_name(ms: float) -> str:
    return f"limit {ms:g} ms"


def _mark(plot: Plot, point: Point) -> str:
    x, y = plot.x.at(point.p50_ms), plot.y.at(100 * point.accuracy)
    low, high = (plot.y.at(100 * end) for end in point.interval)
    series = point.series % SERIES
    told = f"{point.name}: {100 * point.accuracy:.1f} %, {point.p50_ms:.3g} ms"
    drawn = pictures.line(x, low, x, high, f"s{series} thin")
    return drawn + pictures.marker(series, x, y, size=5, hollow=not point.shipped, told=told)


def _named(plot: Plot, point: Point) -> Named:
    x, y = plot.x.at(point.p50_ms), plot.y.at(100 * point.accuracy)
    low, high = (plot.y.at(100 * end) for end in point.interval)
    return Named(point.name, x, y, low, high, bold=point.shipped)


def _title(points: Sequence[Point], kept: Sequence[Point]) -> str:
    if len(kept) == 1:
        return f"{kept[0].name} is the fastest, and none is more accurate"
    beaten = len(points) - len(kept)
    names = " and ".join(point.name for point in (kept[0], kept[-1]))
    told = f"{names} are the ends of the front" if len(kept) > 2 else f"{names} are on the front"
    if beaten:
        return f"{told}; {beaten} of {len(points)} are beaten in both"
    apart = kept[-1].interval[0] > kept[0].interval[1]
    return f"{told}: more accuracy costs time" if apart else f"{told}: their intervals of accuracy overlap"
