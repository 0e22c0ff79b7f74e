"""Where integers may be put in a network, and how each place does: the candidates of the latency search."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import msgspec

from edgetl.quantize.schemes import Scheme
from edgetl.types import LayerInfo
from edgetl.words import counted

__all__ = ["PLAIN", "Placement", "placements", "slower_in_integers"]

PLAIN = "plain"
"""The scheme's own placement, every layer in integers: what the others are timed against."""
TELLING = 1.1
"""A layer is proposed for float where its integer form, with the reorders before it, takes so many times as long."""


@dataclass(frozen=True)
class Placement:
    """One way to quantize: the scheme, and layers that stay in float."""

    name: str
    scheme: Scheme
    kept: tuple[str, ...] = ()


def placements(scheme: Scheme, layers: Sequence[str], slow: Set[str]) -> list[Placement]:
    """What is worth timing for a network, the plain placement first.

    Parameters
    ----------
    layers : those that the plain placement quantizes, in graph order.
    slow : those of them that ran faster in float when each was timed.
    """
    found = [Placement(PLAIN, scheme)]
    if len(layers) > 2:
        first, *_, last = layers
        found += [
            Placement("first layer in float", scheme, (first,)),
            Placement("last layer in float", scheme, (last,)),
            Placement("first and last layer in float", scheme, (first, last)),
        ]
    if slow and len(slow) < len(layers):
        chosen = tuple(name for name in layers if name in slow)
        found.append(
            Placement(f"{counted(len(slow), 'layer')} in float that INT8 slows down", scheme, chosen)
        )
    if set(scheme.joins) > {"Add"}:
        lean = msgspec.structs.replace(scheme, joins=("Add",))
        found.append(Placement("only layers and additions in integers", lean))
    if not scheme.symmetric:
        even = msgspec.structs.replace(scheme, activation="int8", symmetric=True)
        found.append(Placement("symmetric activations", even))
    return found


def slower_in_integers(
    in_float: Sequence[LayerInfo], in_integers: Sequence[LayerInfo], layers: Sequence[str]
) -> set[str]:
    """The layers whose integer form took longer, with the reorders that it needs, than their float form.

    Parameters
    ----------
    in_float, in_integers : executed layers in the order they ran; ``origin`` names the graph's nodes.
    layers : names of the graph's nodes to look for.
    """
    before, after = _times(in_float, layers), _times(in_integers, layers)
    return {name for name in layers if after.get(name, 0.0) > TELLING * before.get(name, float("inf"))}


def _times(executed: Sequence[LayerInfo], layers: Sequence[str]) -> dict[str, float]:
    """Microseconds of each layer; a reorder counts for the layer that it makes ready."""
    wanted, times, waiting = set(layers), dict[str, float](), 0.0
    for layer in executed:
        spent = layer.microseconds or 0.0
        if layer.kind == "Reorder":
            waiting += spent
            continue
        names = [name for name in {layer.name, *layer.origin.split(",")} if name in wanted]
        if len(names) == 1:
            times[names[0]] = times.get(names[0], 0.0) + spent + waiting
        waiting = 0.0
    return times
