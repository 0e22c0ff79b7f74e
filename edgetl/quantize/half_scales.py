"""Scales of Q/DQ pairs as FP16 holds them, and the integers of weights to fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from edgetl.quantize.graph import Graph

__all__ = ["half_above", "settle_scales"]

Array = npt.NDArray[Any]

COARSE = 1.25
"""How far a scale may grow: beyond it, a weight's new integers lose digits that its old ones had."""
FAINT = 1 / 256
"""A channel's scale may grow to this share of the largest: what it loses is 48 dB below the rounding of the others."""


def half_above(scale: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The smallest FP16 numbers that are not below ``scale``, as float32; infinity where there is none.

    >>> half_above(np.array([0.1, 2.0**-30], np.float32)).tolist()
    [0.10003662109375, 5.960464477539063e-08]
    """
    with np.errstate(over="ignore"):
        near = scale.astype(np.float16)
        above = np.where(near.astype(np.float32) < scale, np.nextafter(near, np.float16(np.inf)), near)
    return above.astype(np.float32)


def settle_scales(graph: Graph) -> tuple[frozenset[str], dict[str, int]]:
    """Give every pair a scale that FP16 holds.

    A scale grows to the next FP16 number, in Q and DQ alike, so that no value is clipped that was not. Integers that
    are stored with the old scale are divided by the new one: of an ordinary scale they stay what they are.

    Returns
    -------
    The tensors behind a DequantizeLinear for whose scale none will do; stored integers -> how many became zero.
    """
    sharing: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            sharing.setdefault(node.input[1], []).append(node)
    tensors = {tensor.name: tensor for tensor in graph.model.graph.initializer}
    coarse: set[str] = set()
    vanished: dict[str, int] = {}
    for name, halves in sharing.items():
        constant = graph.constants.issuperset(filter(None, (p for half in halves for p in half.input[1:])))
        fresh = _fresh(graph, name) if constant else None
        if fresh is None:
            coarse.update(half.output[0] for half in halves)
            continue
        for half in {half.input[0]: half for half in halves if half.input[0] in graph.constants}.values():
            if half.op_type == "DequantizeLinear":
                stored = graph.array(half.input[0])
                kept = _divided(graph, half, graph.array(name).astype(np.float32) / fresh)
                if lost := int(np.count_nonzero(stored) - np.count_nonzero(kept)):
                    vanished[half.input[0]] = lost
                tensors[half.input[0]].CopyFrom(numpy_helper.from_array(kept, half.input[0]))
        tensors[name].CopyFrom(numpy_helper.from_array(fresh, name))
    return frozenset(coarse), vanished


def _fresh(graph: Graph, name: str) -> npt.NDArray[np.float32] | None:
    """The scale in FP16's numbers; ``None`` where it has blocks, or some channel's does not fit."""
    if not graph.is_weight(name) or graph.array(name).ndim > 1:
        return None
    scale = graph.array(name).astype(np.float32)
    fresh = half_above(scale)
    allowed = np.maximum(COARSE * scale, FAINT * scale.max(initial=0.0))
    return fresh if np.all(np.isfinite(fresh) & (fresh <= allowed)) else None


def _divided(graph: Graph, half: onnx.NodeProto, ratio: Array) -> Array:
    """Stored integers in steps of another scale."""
    integers: Array = graph.array(half.input[0])
    zero = _zero(graph, half)
    moved = np.rint((integers - zero) * _along(half, ratio.astype(np.float64), integers.ndim)) + zero
    ends = np.iinfo(integers.dtype)
    divided: Array = np.clip(moved, ends.min, ends.max).astype(integers.dtype)
    return divided


def _zero(graph: Graph, half: onnx.NodeProto) -> Array:
    if len(half.input) < 3 or not half.input[2]:
        return np.zeros(())
    zero = graph.array(half.input[2]).astype(np.float64)
    return _along(half, zero, len(graph.shape(half.input[0]) or ()))


def _along(half: onnx.NodeProto, values: Array, rank: int) -> Array:
    """Parameters of a DequantizeLinear in a shape that multiplies what it reads."""
    if values.size == 1:
        return values.reshape(())
    axis = next((a.i for a in half.attribute if a.name == "axis"), 1) % rank
    return values.reshape([-1 if place == axis else 1 for place in range(rank)])
