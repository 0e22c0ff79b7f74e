"""What calibration wants to know of activations, computed by nodes in the graph itself.

An activation is summed up right where it was made, while it is in the processor's cache, and only the sums leave the
network: as fast as copying the activations out, and in the memory that the network needs anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from edgetl.calibration.range_stats import COUNTED, Seen, look, stride
from edgetl.quantize.absorb import limits
from edgetl.quantize.graph import Graph, Shape

__all__ = ["Look", "Taps"]

Array = npt.NDArray[Any]

_MEAN, _LOW, _HIGH, _COUNTED = "_mean", "_low", "_high", "_counted"
_PARTS = ("_flat", "_first", "_end", "_step")
_AXES, _FLAT, _SECOND = "_axes", "_shape", "_second"
_AXES_AS_INPUT = 18
"""The opset from which the reductions read their axes from a tensor."""


class Look(NamedTuple):
    """What samples showed of an activation.

    Attributes
    ----------
    seen : for ``RangeStats.add``; ``None`` where only the means are wanted.
    means : (C,) float64, of each channel, which is the last axis of tokens. size : of the axes behind the channels.
    """

    seen: Seen | None
    means: Array
    size: tuple[int, ...]


class Taps:
    """Adds the nodes to a graph's model, and reads their outputs.

    Pictures of known shape, (N, C, H, W), are summed up in the graph; what is small, or not known, comes out whole.

    Parameters
    ----------
    shapes : of each activation that is looked at, as far as they are known.
    ranged : those of them whose range is wanted. tokens : those with channels as their last axis.

    Attributes
    ----------
    outputs : to ask a session for.
    """

    def __init__(
        self, graph: Graph, shapes: Mapping[str, Shape | None], *, ranged: Set[str], tokens: Set[str]
    ) -> None:
        self._proto = graph.model.graph
        self._axes_as_input = _opset(graph.model) >= _AXES_AS_INPUT
        self._shared = graph.label("calibration", (_AXES, _FLAT, _SECOND))
        self._ranged, self._tokens = ranged, tokens
        fitting = {name: _picture(shape) for name, shape in shapes.items() if name not in tokens}
        self._shapes = {name: shape for name, shape in fitting.items() if shape is not None}
        self._floored = {name for name in self._shapes if name in ranged and _never_negative(graph, name)}
        self._whole = [name for name in shapes if name not in self._shapes]
        for ending, values in ((_AXES, [2, 3]), (_FLAT, [0, -1]), (_SECOND, [1])):
            self._constant(self._shared + ending, values)
        self._labels = {
            name: graph.label(name, (_MEAN, _LOW, _HIGH, _COUNTED, *_PARTS)) for name in self._shapes
        }
        self.outputs = list(self._whole)
        for name, label in self._labels.items():
            self._reduce("ReduceMean", name, label + _MEAN)
            if name in ranged:
                self._reduce("ReduceMax", name, label + _HIGH)
                if name not in self._floored:
                    self._reduce("ReduceMin", name, label + _LOW)
                self._draw(name, label, int(np.prod(self._shapes[name])))

    def looks(self, arrays: Mapping[str, Array]) -> dict[str, Look]:
        """What the outputs of one run say, by activation."""
        found = {name: self._look(name, arrays[name]) for name in self._whole}
        for name, label in self._labels.items():
            mean = arrays[label + _MEAN]
            seen = None
            if name in self._ranged:
                counted = arrays[label + _COUNTED]
                low = counted.min(axis=1, keepdims=True) if name in self._floored else arrays[label + _LOW]
                low = np.where(np.isfinite(mean), low, np.nan)  # extremes may pass over NaN, a mean does not
                seen = Seen(low, arrays[label + _HIGH], counted, int(np.prod(self._shapes[name])))
            found[name] = Look(seen, mean.mean(axis=0, dtype=np.float64), self._shapes[name][1:])
        return found

    def _look(self, name: str, array: Array) -> Look:
        """What an activation shows that came out whole."""
        last = name in self._tokens or array.ndim == 3
        channel = array.ndim - 1 if last else min(array.ndim - 1, 1)
        others = tuple(axis for axis in range(array.ndim) if axis != channel)
        means = np.atleast_1d(array.mean(axis=others, dtype=np.float64))
        return Look(look(array) if name in self._ranged else None, means, array.shape[2:])

    def _reduce(self, operator: str, name: str, output: str) -> None:
        if self._axes_as_input:
            node = helper.make_node(operator, [name, self._shared + _AXES], [output], keepdims=0)
        else:
            node = helper.make_node(operator, [name], [output], keepdims=0, axes=[2, 3])
        self._proto.node.append(node)
        self.outputs.append(output)

    def _draw(self, name: str, label: str, size: int) -> None:
        """The values that a histogram counts."""
        flat, first, end, step = (label + part for part in _PARTS)
        every = stride(size)
        for constant, value in ((first, every // 2), (end, size), (step, every)):
            self._constant(constant, [value])
        drawn = [flat, first, end, self._shared + _SECOND, step]
        self._proto.node.append(helper.make_node("Reshape", [name, self._shared + _FLAT], [flat]))
        self._proto.node.append(helper.make_node("Slice", drawn, [label + _COUNTED]))
        self.outputs.append(label + _COUNTED)

    def _constant(self, name: str, values: list[int]) -> None:
        self._proto.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))


def _never_negative(graph: Graph, name: str) -> bool:
    """Whether its range begins at 0 whatever it holds, so that no smallest value need be sought."""
    node = graph.producer.get(name)
    if node is None or node.op_type not in ("Relu", "Clip"):
        return False
    low, high = limits(graph, node)
    return 0.0 <= low <= high


def _picture(shape: Shape | None) -> tuple[int, int, int] | None:
    """Channels, height and width of a picture that is worth summing up in the graph."""
    if shape is None or len(shape) != 4:
        return None
    _, channels, height, width = shape
    if channels is None or height is None or width is None or channels * height * width <= COUNTED:
        return None
    return channels, height, width


def _opset(model: onnx.ModelProto) -> int:
    return int(max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")))
