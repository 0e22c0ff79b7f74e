"""The executed layers of an engine, as lines."""

from __future__ import annotations

from collections.abc import Sequence

from edgetl.types import LayerInfo

__all__ = ["lines"]

SLOWEST = 10


def lines(layers: Sequence[LayerInfo], precision: str, *, reorders: int, every_layer: bool) -> list[str]:
    """Time by precision, then the slowest layers, or every one in the order they run."""
    timed = [layer for layer in layers if layer.microseconds]
    total = sum(layer.microseconds or 0.0 for layer in timed)
    by_precision: dict[str, list[float]] = {}
    for layer in timed:
        by_precision.setdefault(layer.precision, []).append(layer.microseconds or 0.0)
    told = [f"  engine     {precision}: {len(timed)} layers executed, {reorders} of them reorders"]
    for name, times in sorted(by_precision.items(), key=lambda item: -sum(item[1])):
        told.append(
            f"             {name:<6} {len(times):>4} layers {100 * sum(times) / total:>6.1f} % of the time"
        )
    shown = timed if every_layer else sorted(timed, key=lambda layer: -(layer.microseconds or 0.0))[:SLOWEST]
    told += ["", f"  {'layer':<48} {'kind':<14} {'runs in':<8} {'us':>8}"]
    told += [
        f"  {layer.name[:48]:<48} {layer.kind:<14} {layer.precision:<8} {layer.microseconds:>8.1f}"
        for layer in shown
    ]
    if len(shown) < len(timed):
        told.append(f"  the slowest {len(shown)} of {len(timed)}; --layers lists all")
    return told
