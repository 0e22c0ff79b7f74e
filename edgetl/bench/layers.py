"""Where the time went: what differs between the layers that two engines execute."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from edgetl.types import LayerInfo, Record

__all__ = ["LayerChange", "Profile", "agreed_diff", "layer_diff"]

What = Literal["time", "precision", "fusion", "added", "removed"]
Profile = Sequence[LayerInfo]
OWN_SHARE, WHOLE_SHARE = 0.10, 0.01
"""A time changed where it differs by a tenth of its own and by a hundredth of the whole network's: profilers of
vendors add some microseconds to each layer, and those scatter."""


class LayerChange(Record, frozen=True, kw_only=True):
    """One layer, or those that were fused into one or came of it, in two engines.

    Attributes
    ----------
    name : of the layer, in the candidate where it is there.
    what : what changed; ``added`` and ``removed`` where one engine has nothing of it.
    before, after : the layers, in the order they run.
    before_us, after_us : their time in one inference; ``None`` where none was profiled.
    sentence : all of it in words.
    """

    name: str
    what: tuple[What, ...]
    before: tuple[LayerInfo, ...]
    after: tuple[LayerInfo, ...]
    before_us: float | None
    after_us: float | None
    sentence: str

    @property
    def delta_us(self) -> float:
        """Microseconds that the candidate takes longer."""
        return (self.after_us or 0.0) - (self.before_us or 0.0)


def layer_diff(baseline: Sequence[LayerInfo], candidate: Sequence[LayerInfo]) -> list[LayerChange]:
    """The layers that changed in time, precision or fusion, the one that costs most first.

    Layers of the two engines belong together where they came from one node of the graph, or have one name. Where
    more than one layer is on a side, the engines fuse differently.
    """
    whole = sum(layer.microseconds or 0.0 for layer in baseline)
    found = [_change(before, after, whole) for before, after in _together(baseline, candidate)]
    changes = [change for change in found if change is not None]
    return sorted(changes, key=lambda change: (-change.delta_us, change.name))


SPREADS = 2.0
"""The sides are so many times as far apart as two profiles of one side: independent noise of 5 % in each of four
profiles then names one layer in 170, of 3 % one in 8000."""


def agreed_diff(baseline: Sequence[Profile], candidate: Sequence[Profile]) -> list[LayerChange]:
    """``layer_diff`` of several profiles of either engine: a time counts where every one of them says so.

    The slowest profile of the faster side has to be faster than the fastest of the slower one, by more than the
    profiles of either side differ among themselves. Fresh instances profiled in mirrored turns (A B B A) make that a
    layer's change, and not that of an instance or of the minute.
    """
    found = layer_diff(_mean(baseline), _mean(candidate))
    kept = []
    for change in found:
        if "time" in change.what and not _agrees(change, baseline, candidate):
            change = msgspec.structs.replace(
                change, what=tuple(what for what in change.what if what != "time")
            )
        if change.what:
            kept.append(change)
    return kept


def _mean(profiles: Sequence[Profile]) -> list[LayerInfo]:
    """The layers of the first, with the mean of their times in all."""
    times = [_by_name(profile) for profile in profiles]
    found = []
    for layer in profiles[0]:
        told = [one[layer.name] for one in times if one.get(layer.name) is not None]
        us = statistics.fmean(told) if told else None
        found.append(msgspec.structs.replace(layer, microseconds=us))
    return found


def _by_name(profile: Profile) -> dict[str, float]:
    return {layer.name: layer.microseconds for layer in profile if layer.microseconds is not None}


def _agrees(change: LayerChange, baseline: Sequence[Profile], candidate: Sequence[Profile]) -> bool:
    before, after = _times(change.before, baseline), _times(change.after, candidate)
    if before is None or after is None:
        return False
    apart = max(min(after) - max(before), min(before) - max(after))
    spread = max(max(before) - min(before), max(after) - min(after))
    return apart > SPREADS * spread


def _times(layers: Sequence[LayerInfo], profiles: Sequence[Profile]) -> list[float] | None:
    """Their time together in each profile; ``None`` where one does not know them all."""
    names = {layer.name for layer in layers if layer.microseconds is not None}
    found = [_by_name(profile) for profile in profiles]
    if any(not names <= one.keys() for one in found):
        return None
    return [sum(one[name] for name in names) for one in found]


def _together(
    baseline: Sequence[LayerInfo], candidate: Sequence[LayerInfo]
) -> list[tuple[list[LayerInfo], list[LayerInfo]]]:
    """Groups of layers that share a node or a name, found by merging sets."""
    layers = [*baseline, *candidate]
    parent = list(range(len(layers)))

    def root(place: int) -> int:
        while parent[place] != place:
            place = parent[place]
        return place

    sides = (range(len(baseline)), range(len(baseline), len(layers)))
    owners: tuple[dict[str, list[int]], ...] = ({}, {})
    for side, places in enumerate(sides):
        for place in places:
            for mark in _marks(layers[place]):
                owners[side].setdefault(mark, []).append(place)
    for mark in owners[0].keys() & owners[1].keys():  # a node that one engine alone names joins nothing
        first, *others = owners[0][mark] + owners[1][mark]
        for place in others:
            parent[root(place)] = root(first)
    groups: dict[int, tuple[list[LayerInfo], list[LayerInfo]]] = {}
    for side, places in enumerate(sides):
        for place in places:
            groups.setdefault(root(place), ([], []))[side].append(layers[place])
    return list(groups.values())


def _marks(layer: LayerInfo) -> set[str]:
    """What a layer is known by in another engine: its name, and the nodes of the graph it came from."""
    return {layer.name, *(part.strip() for part in layer.origin.split(",") if part.strip())}


def _change(before: Sequence[LayerInfo], after: Sequence[LayerInfo], whole: float) -> LayerChange | None:
    """What differs in a group; ``None`` where nothing does, or where it is only a view that costs nothing."""
    times = _time(before), _time(after)
    if not times[0] and not times[1]:
        return None
    what = _what(before, after, times, whole)
    if not what:
        return None
    name = _heaviest(after or before).name
    return LayerChange(
        name=name,
        what=what,
        before=tuple(before),
        after=tuple(after),
        before_us=times[0],
        after_us=times[1],
        sentence=_sentence(name, what, before, after, times),
    )


def _what(
    before: Sequence[LayerInfo],
    after: Sequence[LayerInfo],
    times: tuple[float | None, float | None],
    whole: float,
) -> tuple[What, ...]:
    if not before:
        return ("added",)
    if not after:
        return ("removed",)
    found: list[What] = []
    first, then = times[0] or 0.0, times[1] or 0.0
    if abs(then - first) > max(OWN_SHARE * first, WHOLE_SHARE * whole):
        found.append("time")
    if _heaviest(before).precision != _heaviest(after).precision:
        found.append("precision")
    if len(_working(before)) != len(_working(after)):
        found.append("fusion")
    return tuple(found)


def _time(layers: Iterable[LayerInfo]) -> float | None:
    timed = [layer.microseconds for layer in layers if layer.microseconds is not None]
    return sum(timed) if timed else None


def _working(layers: Sequence[LayerInfo]) -> list[LayerInfo]:
    """Those that take time; a view of a tensor is listed by some vendors, and is no layer."""
    return [layer for layer in layers if layer.microseconds]


def _heaviest(layers: Sequence[LayerInfo]) -> LayerInfo:
    return max(layers, key=lambda layer: layer.microseconds or 0.0)


def _sentence(
    name: str,
    what: Sequence[What],
    before: Sequence[LayerInfo],
    after: Sequence[LayerInfo],
    times: tuple[float | None, float | None],
) -> str:
    if "added" in what:
        return f"{name}: new, {times[1]:.1f} us"
    if "removed" in what:
        return f"{name}: gone, it took {times[0]:.1f} us"
    told = []
    if "precision" in what:
        told.append(f"{_heaviest(before).precision} -> {_heaviest(after).precision}")
    if "fusion" in what:
        told.append(f"{len(_working(before))} -> {len(_working(after))} layers")
    first, then = times
    if first and then is not None:
        told.append(f"{first:.1f} -> {then:.1f} us ({100 * (then / first - 1):+.0f} %)")
    return f"{name}: {', '.join(told)}"
