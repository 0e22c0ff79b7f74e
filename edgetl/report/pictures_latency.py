"""Pictures of latency: how it is spread, and how it went over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgetl.candidate import spoken
from edgetl.report import pictures
from edgetl.report.pictures import DASHES, WIDTH, Picture
from edgetl.report.pictures_axes import Axis, Plot, axis_over

__all__ = ["Blocks", "over_time", "spread"]

Blocks = Mapping[str, Sequence[Sequence[Sequence[int]]]]
"""By candidate, for each fresh instance, blocks of nanoseconds."""

LEFT, RIGHT, TOP, BOTTOM = 52.0, WIDTH - 12.0, 26.0, 200.0
BINS = 48
SHOWN = 0.98
"""Runs beyond this share of a candidate's are counted and not drawn: they would squeeze all others to a line."""
STEADY = 1.05


def spread(blocks: Blocks, shipped: str) -> Picture:
    """How often a run takes how long, each candidate a line; that of the shipped one is filled."""
    runs = {name: np.sort(_milliseconds(instances)) for name, instances in blocks.items()}
    last = max(float(np.quantile(values, SHOWN)) for values in runs.values())
    first = min(float(values[0]) for values in runs.values())
    edges = np.linspace(first, max(last, first * 1.01), BINS + 1)
    shares = {name: 100 * np.histogram(values, edges)[0] / len(values) for name, values in runs.items()}
    tallest = max(float(share.max()) for share in shares.values())
    plot = Plot(Axis(float(edges[0]), float(edges[-1]), LEFT, RIGHT), Axis(0, tallest * 1.05, BOTTOM, TOP))
    order = _shipped_last(blocks, shipped)
    drawn = plot.frame("latency of one inference, ms", "share of the runs, %")
    for name in order:
        series, is_shipped = _series(blocks, name, shipped), name == shipped
        corners = _steps(plot, edges, shares[name])
        if is_shipped:
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
            drawn += f'<polygon points="{points}" style="fill:var(--s{series});fill-opacity:0.22"/>'
        kind = f"s{series} {'thick' if is_shipped else ''}"
        drawn += pictures.path(corners, kind, dash=DASHES[series])
    middle = float(np.quantile(runs[shipped], 0.5))
    drawn += pictures.line(plot.x.at(middle), TOP, plot.x.at(middle), BOTTOM, "axis", dash="2 2")
    on_left = plot.x.at(middle) > (LEFT + RIGHT) / 2
    drawn += pictures.text(
        plot.x.at(middle) + (-5 if on_left else 5), TOP - 8, f"p50 of {spoken(shipped)}: {middle:.3g} ms", "bold",
        anchor="end" if on_left else "start",
    )  # fmt: skip
    names, height = pictures.legend(
        [(spoken(name), _series(blocks, name, shipped)) for name in blocks], BOTTOM + 58, "line"
    )
    beyond = sum(int((values > edges[-1]).sum()) for values in runs.values())
    note = f"{sum(map(len, runs.values()))} runs" + (
        f"; {beyond} slower than {edges[-1]:.3g} ms are not drawn" if beyond else ""
    )
    return Picture(_spread_title(runs[shipped], shipped), note, BOTTOM + 46 + height, drawn + names)


def _spread_title(values: np.ndarray, shipped: str) -> str:
    middle, tail = (float(np.quantile(values, q)) for q in (0.5, 0.9))
    return f"Half of the runs of {spoken(shipped)} take {middle:.3g} ms or less, nine of ten {tail:.3g} ms or less"


def over_time(blocks: Blocks, shipped: str) -> Picture:
    """The median of every block in the order they ran; a number on the axis is a fresh instance."""
    points = {name: _medians(instances) for name, instances in blocks.items()}
    values = [y for found in points.values() for _, y in found]
    instances = max(len(found) for found in blocks.values())
    plot = Plot(Axis(0.5, instances + 0.5, LEFT, RIGHT), axis_over(values, BOTTOM, TOP))
    drawn = plot.frame("fresh instance, in the order they were measured", "median of a block, ms")
    for name in _shipped_last(blocks, shipped):
        series = _series(blocks, name, shipped)
        for x, y in points[name]:
            told = f"{spoken(name)}, instance {round(x)}: {y:.3f} ms"
            drawn += pictures.marker(
                series, plot.x.at(x), plot.y.at(y), size=2.6, hollow=name != shipped, told=told
            )
    names, height = pictures.legend(
        [(spoken(name), _series(blocks, name, shipped)) for name in blocks], BOTTOM + 58, "mark"
    )
    return Picture(
        _time_title(blocks[shipped], shipped),
        "each mark is the median of one block of runs",
        BOTTOM + 46 + height,
        drawn + names,
    )


def _time_title(instances: Sequence[Sequence[Sequence[int]]], shipped: str) -> str:
    each = [float(np.median(_milliseconds([one]))) for one in instances]
    if len(each) == 1:
        return f"One instance of {spoken(shipped)}: another may be some percent faster or slower"
    low, high = min(each), max(each)
    span = f"from {low:.3g} to {high:.3g} ms at p50"
    if high <= STEADY * low:
        return f"{len(each)} fresh instances of {spoken(shipped)} agree: {span}"
    return (
        f"{len(each)} fresh instances of {spoken(shipped)} differ by {100 * (high / low - 1):.0f} %: {span}"
    )


def _medians(instances: Sequence[Sequence[Sequence[int]]]) -> list[tuple[float, float]]:
    """(Place on the axis of instances, milliseconds) of every block."""
    found = []
    for number, blocks in enumerate(instances, start=1):
        for place, block in enumerate(blocks):
            where = number + 0.7 * ((place + 0.5) / len(blocks) - 0.5)
            found.append((where, float(np.median(block)) / 1e6))
    return found


def _milliseconds(instances: Sequence[Sequence[Sequence[int]]]) -> np.ndarray:
    return np.array([ns for blocks in instances for block in blocks for ns in block], np.float64) / 1e6


def _series(blocks: Blocks, name: str, shipped: str) -> int:
    """The first is the shipped one's, which has the plain line."""
    return [shipped, *(other for other in blocks if other != shipped)].index(name)


def _shipped_last(blocks: Blocks, shipped: str) -> list[str]:
    """So that it is drawn above the others."""
    return sorted(blocks, key=lambda name: name == shipped)


def _steps(plot: Plot, edges: np.ndarray, shares: np.ndarray) -> list[tuple[float, float]]:
    corners = [(plot.x.at(float(edges[0])), plot.y.at(0.0))]
    for left, right, share in zip(edges[:-1], edges[1:], shares):
        height = plot.y.at(float(share))
        corners += [(plot.x.at(float(left)), height), (plot.x.at(float(right)), height)]
    return [*corners, (plot.x.at(float(edges[-1])), plot.y.at(0.0))]
