"""Pictures of an engine's layers and sizes: bars, the longest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgetl.candidate import spoken
from edgetl.report import pictures
from edgetl.report.pictures import WIDTH, Picture
from edgetl.report.summary import bytes_text
from edgetl.types import LayerInfo
from edgetl.words import counted

__all__ = ["by_precision", "sizes", "slowest"]

SHOWN = 12
LEFT, BAR, ROW = 188.0, 164.0, 20.0
WORDS = 24
SERIES = {"u8": 0, "i8": 0, "int8": 0, "f32": 1, "bf16": 2, "f16": 3, "fp16": 3}
OTHER = 4


def slowest(layers: Sequence[LayerInfo], candidate: str) -> Picture:
    """The layers that take longest, filled by the precision that they run in, and the others as one bar."""
    timed = sorted(
        (layer for layer in layers if layer.microseconds), key=lambda layer: -(layer.microseconds or 0.0)
    )
    total = sum(layer.microseconds or 0.0 for layer in timed)
    spent = _spent(timed)
    kinds = sorted(spent, key=lambda kind: -spent[kind])
    rows = [(f"{layer.name}", layer.microseconds or 0.0, _series(layer.precision)) for layer in timed[:SHOWN]]
    drawn, y = _bars([(n, t, s, f"{t:.1f} us, {100 * t / total:.0f} %") for n, t, s in rows], 4.0)
    rest = total - sum(time for _, time, _ in rows)
    if len(timed) > SHOWN:
        others = (
            f"and {counted(len(timed) - SHOWN, 'other')}: {rest:.1f} us, {100 * rest / total:.0f} % in all"
        )
        drawn += pictures.text(LEFT, y + 12, others, "soft")
        y += ROW
    names, height = pictures.legend([(f"runs in {kind}", _series(kind)) for kind in kinds], y + 22, "box")
    title = _slowest_title(timed, total, candidate)
    note = "mean time in one inference, by the vendor's profiler, which adds some of its own to each layer"
    return Picture(title, note, y + 16 + height, drawn + names)


def _slowest_title(timed: Sequence[LayerInfo], total: float, candidate: str) -> str:
    spent, count = 0.0, 0
    while spent < total / 2:
        spent += timed[count].microseconds or 0.0
        count += 1
    verb = "takes" if count == 1 else "take"
    share = f"{100 * spent / total:.0f} % of the time"
    return f"{count} of {counted(len(timed), 'layer')} of {spoken(candidate)} {verb} {share}"


def by_precision(layers: Mapping[str, Sequence[LayerInfo]], shipped: str) -> Picture:
    """For every candidate a bar of its time, in the parts that each precision has."""
    spent = {name: _spent(found) for name, found in layers.items()}
    kinds = sorted({kind for parts in spent.values() for kind in parts})
    wide = WIDTH - LEFT - 14
    drawn, y = "", 4.0
    for name, parts in spent.items():
        drawn += pictures.text(
            LEFT - 8, y + 14, spoken(name), "bold" if name == shipped else "", anchor="end"
        )
        x, total = LEFT, sum(parts.values())
        for kind in kinds:
            share = parts.get(kind, 0.0) / total
            told = f"{kind}: {100 * share:.0f} % of the time"
            drawn += pictures.rect(x, y + 3, wide * share, ROW - 5, _series(kind), told=told)
            x += wide * share
        y += ROW + 2
    for share in (0, 50, 100):
        place = LEFT + wide * share / 100
        drawn += pictures.text(place, y + 14, f"{share}", "soft", anchor="middle")
    drawn += pictures.text(LEFT + wide / 2, y + 32, "share of the time, %", "soft", anchor="middle")
    names, height = pictures.legend([(f"runs in {kind}", _series(kind)) for kind in kinds], y + 56, "box")
    first = max(spent[shipped], key=lambda kind: spent[shipped][kind])
    share = 100 * spent[shipped][first] / sum(spent[shipped].values())
    title = f"{spoken(shipped)} spends {share:.0f} % of its time in {first}"
    return Picture(title, "sum over the layers, by the vendor's profiler", y + 46 + height, drawn + names)


def sizes(of: Mapping[str, int], shipped: str, what: str = "engine") -> Picture:
    """The size of every candidate's engine, or of ``what`` stands in for it."""
    rows = [(spoken(name), float(size), int(name == shipped), bytes_text(size)) for name, size in of.items()]
    drawn, y = _bars([(name, size, 1 - mark, told) for name, size, mark, told in rows], 4.0)
    largest = max(of.values())
    title = f"The {what} of {spoken(shipped)} has {bytes_text(of[shipped])}"
    if largest > of[shipped] > 0:
        title += f", {largest / of[shipped]:.1f} times smaller than the largest"
    return Picture(
        title, f"files of the {what}, on disk; the shipped one is plain, the others are hatched", y + 4, drawn
    )


def _bars(rows: Sequence[tuple[str, float, int, str]], y: float) -> tuple[str, float]:
    """Bars as (label, length, series, what is written behind); and where they end."""
    longest = max((length for _, length, _, _ in rows), default=0.0) or 1.0
    drawn = ""
    for label, length, series, told in rows:
        reach = BAR * length / longest
        drawn += pictures.text(LEFT - 8, y + 14, pictures.shortened(label, WORDS), anchor="end")
        drawn += pictures.rect(LEFT, y + 3, reach, ROW - 5, series, told=f"{label}: {told}")
        inside = LEFT + reach + 6 + 6.2 * len(told) > WIDTH
        drawn += pictures.text(
            WIDTH - 2 if inside else LEFT + reach + 6,
            y + 14,
            told,
            "soft",
            anchor="end" if inside else "start",
        )
        y += ROW
    return drawn, y


def _series(kind: str) -> int:
    """A precision looks the same in every picture."""
    return SERIES.get(kind, OTHER)


def _spent(layers: Sequence[LayerInfo]) -> dict[str, float]:
    found: dict[str, float] = {}
    for layer in layers:
        if layer.microseconds:
            found[layer.precision] = found.get(layer.precision, 0.0) + layer.microseconds
    return found
