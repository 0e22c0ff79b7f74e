"""Cross-layer equalisation: the channels of a tensor brought to one range, and undone in the layers that read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from edgetl.calibration.range_stats import RangeStats
from edgetl.quantize import graph as graphs
from edgetl.quantize.absorb import limits
from edgetl.quantize.graph import Graph
from edgetl.quantize.plan import weight_axis
from edgetl.quantize.window import Window, window_of

__all__ = ["equalise"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_POOLS = frozenset({"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"})
_SPREAD = 1e-6
"""A range or a weight below this share of the largest counts as so much: no factor may grow without end."""
_ROUNDS = 12
"""A depthwise reader halves the spread, in octaves, each round; any other settles in two."""


@dataclass
class _Joint:
    """A layer, what its output passes through channel by channel, and the layers that read it in the end."""

    writer: onnx.NodeProto
    tensors: list[str] = field(default_factory=list)
    readers: list[tuple[onnx.NodeProto, Window]] = field(default_factory=list)


def equalise(model: Path, ranges: Mapping[str, RangeStats], out: Path) -> list[str]:
    """Write a float model that answers the same, each tensor between two layers with channels of one range.

    Nagel et al. 2019 (arXiv:1906.04721), section 4.1: where a layer's output goes through operators that keep a
    positive factor, ``f(s x) = s f(x)``, to other layers and nowhere else, each of its channels may be divided by a
    factor and the weights that read it multiplied. Weights have a scale for each output channel here, so the layer
    that writes pays nothing; the factor weighs the range of the activation, which has one scale, against the share
    that the channel has in its readers' weights: ``s = sqrt(range / share)``.

    Clip with an upper bound does not keep a factor and is left as it is: its bound would become one a channel, which
    no integer implies, and it holds the ranges together by itself.

    Parameters
    ----------
    ranges : of the model's activations, as ``observe`` gives them.
    out : written only where a layer was changed.

    Returns
    -------
    Names of the layers whose outputs were scaled, in graph order.

    Raises
    ------
    InputError : the model cannot be quantized.
    """
    graph = graphs.load(model)
    values = {tensor.name: tensor for tensor in graph.model.graph.initializer}
    scaled = []
    for joint in _joints(graph):
        seen = next((ranges[name].channel_absmax for name in joint.tensors if name in ranges), None)
        if seen is None or not np.any(seen):
            continue
        factors = _factors(seen.astype(np.float64), [_grid(graph, reader) for reader in joint.readers])
        _scale(values, joint, factors)
        scaled.append(joint.writer.name)
    if scaled:
        out.write_bytes(graph.model.SerializeToString(deterministic=True))
    return scaled


def _joints(graph: Graph) -> Iterator[_Joint]:
    for node in graph.weighted():
        window = window_of(node, graph.array(node.input[1]))
        if window is None or node.op_type == "MatMul" or not _owns(graph, node):
            continue  # what a MatMul adds is another node
        joint = _Joint(node)
        if _follow(graph, node.output[0], joint) and joint.readers:
            joint.tensors.reverse()  # the readers' own tensor first: it is the one that is quantized
            yield joint


def _owns(graph: Graph, node: onnx.NodeProto) -> bool:
    """Whether a layer's weights and bias are constants that nobody else reads."""
    return all(name in graph.constants and len(graph.consumers[name]) == 1 for name in node.input[1:] if name)


def _follow(graph: Graph, tensor: str, joint: _Joint) -> bool:
    """Collect what reads a tensor; whether all of it takes a factor for each channel."""
    if tensor in graph.outputs:
        return False
    joint.tensors.append(tensor)
    for reader in graph.consumers.get(tensor, ()):
        if _keeps_factors(graph, reader, tensor):
            if not _follow(graph, reader.output[0], joint):
                return False
            continue
        window = _reading(graph, reader, tensor)
        if window is None:
            return False
        joint.readers.append((reader, window))
    return True


def _keeps_factors(graph: Graph, node: onnx.NodeProto, tensor: str) -> bool:
    """Whether a node answers a channel times a positive factor with that channel of its answer times it."""
    if node.input[0] != tensor or len(node.output) > 1:
        return False
    if node.op_type in ("Relu", "Clip"):
        return limits(graph, node) in ((0.0, np.inf), (-np.inf, np.inf))
    if node.op_type in ("Flatten", "Reshape", "Squeeze"):
        before, after = graph.shape(tensor), graph.shape(node.output[0])
        return before is not None and after == before[:2] and before[2:] == [1, 1]
    if node.op_type == "ReduceMean":
        before, after = graph.shape(tensor), graph.shape(node.output[0])
        return before is not None and after is not None and len(before) == 4 and before[:2] == after[:2]
    return node.op_type in ("Identity", "LeakyRelu") or node.op_type in _POOLS


def _reading(graph: Graph, node: onnx.NodeProto, tensor: str) -> Window | None:
    """How a layer reads a tensor whose channels its weights can undo; ``None`` where it is no such layer."""
    known = node.op_type in graphs.WEIGHTED and node.input[0] == tensor and graph.is_weight(node.input[1])
    if not known or tensor in node.input[1:] or len(graph.consumers[node.input[1]]) > 1:
        return None
    window = window_of(node, graph.array(node.input[1]))
    if window is not None and window.linear and len(graph.shape(tensor) or ()) != 2:
        return None  # its last axis is not the channels
    return window


def _grid(graph: Graph, reader: tuple[onnx.NodeProto, Window]) -> Floats:
    """The largest magnitude that each output channel gives each input channel: (G, O / G, C / G)."""
    node, window = reader
    matrices = np.abs(window.matrices(graph.array(node.input[1]).astype(np.float64)))
    largest: Floats = matrices.reshape(*matrices.shape[:2], -1, window.taps).max(axis=-1)
    return largest


def _factors(ranges: Floats, grids: list[Floats]) -> Floats:
    """What each channel is divided by, (C,); the largest range stays what it is."""
    live = ranges > 0
    held = np.maximum(ranges, _SPREAD * ranges.max())
    factors = np.ones_like(held)
    for _ in range(_ROUNDS):
        shares = np.max([_shares(grid, factors) for grid in grids], axis=0)
        factors *= np.where(live, np.sqrt(held / factors / np.maximum(shares, _SPREAD)), 1.0)
        factors *= (held / factors)[live].max() / held.max()
    return np.where(live, factors, 1.0)


def _shares(grid: Floats, factors: Floats) -> Floats:
    """The largest share that an input channel has in the range of an output channel's weights, (C,)."""
    scaled = grid * factors.reshape(grid.shape[0], 1, -1)
    rows = scaled.max(axis=2, keepdims=True)
    shares: Floats = (scaled / np.where(rows > 0, rows, 1.0)).max(axis=1).reshape(-1)
    return shares


def _scale(values: Mapping[str, onnx.TensorProto], joint: _Joint, factors: Floats) -> None:
    """Divide what the writer gives, multiply what the readers take."""
    writer = joint.writer
    weights = numpy_helper.to_array(values[writer.input[1]])
    shape = [1] * weights.ndim
    shape[weight_axis(writer)] = -1
    _replace(values[writer.input[1]], weights / factors.reshape(shape))
    for name in writer.input[2:]:
        _replace(values[name], numpy_helper.to_array(values[name]) / factors)
    for reader, window in joint.readers:
        weights = numpy_helper.to_array(values[reader.input[1]])
        matrices = window.matrices(weights)
        taken = np.repeat(factors.reshape(window.groups, 1, -1), window.taps, axis=2)
        _replace(values[reader.input[1]], window.weights(matrices * taken, weights.shape))


def _replace(tensor: onnx.TensorProto, array: Array) -> None:
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), tensor.name))
