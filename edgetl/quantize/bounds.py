"""How large the tensors of a graph can become: by arithmetic from what a node reads, and by what was observed.

Integers clip, so that whatever is behind a Q/DQ pair has a bound that holds for every picture; with it those of the
layers behind it are known. Where arithmetic says too much or nothing, the largest observed magnitude and a margin do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from edgetl.calibration.range_stats import RangeStats
from edgetl.quantize.absorb import limits
from edgetl.quantize.graph import Graph
from edgetl.quantize.plan import weight_axis

__all__ = ["MARGIN", "dequantized", "magnitudes", "summands"]

Array = npt.NDArray[Any]
Bounds = Mapping[str, float]

MARGIN = 4.0
"""How far beyond the calibration pictures another one may reach: two bits."""
_INTEGERS: Mapping[int, tuple[int, int]] = {TensorProto.UINT8: (0, 255), TensorProto.INT8: (-128, 127)}
_KEEPING = frozenset(
    {
        *("AveragePool", "Cast", "DepthToSpace", "Dropout", "Expand", "Flatten", "Gather", "Gelu"),
        *(
            "GlobalAveragePool",
            "GlobalMaxPool",
            "HardSwish",
            "Identity",
            "MaxPool",
            "Neg",
            "Abs",
            "ReduceMax",
        ),
        *("ReduceMean", "ReduceMin", "Relu", "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile"),
        *("Transpose", "Unsqueeze"),
    }
)
"""What gives no larger magnitude than its first input has."""
_UNIT = frozenset({"Cos", "Erf", "HardSigmoid", "Sigmoid", "Sin", "Softmax", "Tanh"})


def magnitudes(graph: Graph, ranges: Mapping[str, RangeStats]) -> dict[str, float]:
    """Tensor -> what its magnitude stays below; infinity where nothing is known.

    Parameters
    ----------
    ranges : of observed tensors; a graph that was quantized since has the same names.
    """
    found = {name: _largest(graph.array(name)) for name in graph.constants}
    for value in graph.model.graph.input:
        clipped = _INTEGERS.get(graph.kind(value.name))
        found[value.name] = float(max(map(abs, clipped))) if clipped else _observed(ranges, value.name)
    for node in graph.model.graph.node:
        computed = _computed(graph, node, found)
        for name in node.output:
            found[name] = min(computed, _observed(ranges, name))
    return found


def dequantized(graph: Graph, name: str) -> Array | None:
    """The values of a float constant, or of a constant behind its pair; ``None`` where it is computed."""
    if graph.is_weight(name):
        return graph.array(name)
    back = graph.producer.get(name)
    if back is None or back.op_type != "DequantizeLinear" or not graph.constants.issuperset(back.input[1:]):
        return None
    integers, scale = _integers(graph, back), _along(graph, back, graph.array(back.input[1]))
    zero = _along(graph, back, _zero_point(graph, back))
    if integers is None or scale is None or zero is None:
        return None
    values: Array = (integers.astype(np.float64) - zero) * scale
    return values


def summands(graph: Graph, node: onnx.NodeProto) -> int | None:
    """How many values a pool or a mean adds up for one of its own; ``None`` where it is not known."""
    told = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "AveragePool":
        return int(math.prod(told["kernel_shape"]))
    shape = graph.shape(node.input[0])
    axes = told.get("axes")
    if len(node.input) > 1 and node.input[1] in graph.constants:
        axes = graph.array(node.input[1]).tolist()
    if shape is None:
        return None
    if node.op_type == "GlobalAveragePool":
        axes = range(2, len(shape))
    sizes = [shape[axis] for axis in (range(len(shape)) if axes is None else axes)]
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None


def _computed(graph: Graph, node: onnx.NodeProto, found: Bounds) -> float:
    inputs = [found.get(name, math.inf) for name in node.input]
    if node.op_type in _KEEPING:
        return inputs[0]
    if node.op_type in _UNIT:
        return 1.0
    rule = _RULES.get(node.op_type)
    bound = rule(graph, node, inputs) if rule is not None else math.inf
    return math.inf if math.isnan(bound) else bound  # zero times infinity


def _clip(graph: Graph, node: onnx.NodeProto, inputs: list[float]) -> float:
    low, high = limits(graph, node)
    return min(inputs[0], max(abs(low), abs(high))) if low <= high else math.inf


def _weighted(graph: Graph, node: onnx.NodeProto, inputs: list[float]) -> float:
    """The sum of a channel's weights, as magnitudes, times the largest input."""
    weights = dequantized(graph, node.input[1])
    if weights is None or weights.ndim < 2:
        return math.inf
    axis = weight_axis(node) if node.op_type != "MatMul" else weights.ndim - 1
    told = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    sums = np.abs(np.moveaxis(weights, axis, 0)).reshape(weights.shape[axis], -1).sum(axis=1)
    bias = abs(told.get("beta", 1.0)) * inputs[2] if len(inputs) > 2 and node.input[2] else 0.0
    return float(abs(told.get("alpha", 1.0)) * sums.max(initial=0.0)) * inputs[0] + bias


def _normalised(graph: Graph, node: onnx.NodeProto, inputs: list[float]) -> float:
    if not all(name in graph.constants for name in node.input[1:5]):
        return math.inf
    scale, shift, mean, variance = (graph.array(name).astype(np.float64) for name in node.input[1:5])
    told = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    factor = np.abs(scale) / np.sqrt(variance + told.get("epsilon", 1e-5))
    return float((factor * (inputs[0] + np.abs(mean)) + np.abs(shift)).max(initial=0.0))


def _behind_integers(graph: Graph, node: onnx.NodeProto, inputs: list[float]) -> float:
    values = dequantized(graph, node.output[0])
    if values is not None:
        return _largest(values)
    clipped = _INTEGERS.get(graph.kind(node.input[0]))
    if clipped is None or not graph.constants.issuperset(node.input[1:]):
        return math.inf
    zero = _zero_point(graph, node).astype(np.float64)
    reach = max(float(np.abs(end - zero).max()) for end in clipped)
    return reach * _largest(graph.array(node.input[1]))


def _pad(graph: Graph, node: onnx.NodeProto, inputs: list[float]) -> float:
    return max(inputs[0], inputs[2] if len(inputs) > 2 and node.input[2] else 0.0)


def _quotient(graph: Graph, node: onnx.NodeProto, inputs: list[float]) -> float:
    if not graph.is_weight(node.input[1]):
        return math.inf
    least = float(np.abs(graph.array(node.input[1])).min(initial=math.inf))
    return inputs[0] / least if least else math.inf


_RULES: Mapping[str, Callable[[Graph, onnx.NodeProto, list[float]], float]] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "Gemm", "MatMul"), _weighted),
    **dict.fromkeys(("Add", "Sub", "Sum"), lambda graph, node, inputs: sum(inputs)),
    **dict.fromkeys(("Concat", "Max", "Min"), lambda graph, node, inputs: max(inputs)),
    "BatchNormalization": _normalised,
    "Clip": _clip,
    "DequantizeLinear": _behind_integers,
    "Div": _quotient,
    "Mul": lambda graph, node, inputs: math.prod(inputs),
    "Pad": _pad,
    "QuantizeLinear": lambda graph, node, inputs: inputs[0],
}


def _integers(graph: Graph, back: onnx.NodeProto) -> Array | None:
    """The integers that a DequantizeLinear reads, where they are constant or made of a constant."""
    if back.input[0] in graph.constants:
        return graph.array(back.input[0])
    made = graph.producer.get(back.input[0])
    if made is None or made.op_type != "QuantizeLinear" or not graph.is_weight(made.input[0]):
        return None
    scale = _along(graph, made, graph.array(made.input[1])) if made.input[1] in graph.constants else None
    return None if scale is None else np.clip(np.rint(graph.array(made.input[0]) / scale), -128, 127)


def _zero_point(graph: Graph, half: onnx.NodeProto) -> Array:
    return graph.array(half.input[2]) if len(half.input) > 2 else np.zeros(())


def _along(graph: Graph, half: onnx.NodeProto, values: Array) -> Array | None:
    """Parameters of a Q or DQ in a shape that multiplies what it reads; ``None`` for blocks."""
    if values.size == 1:
        return values.reshape(()).astype(np.float64)
    shape = graph.shape(half.input[0])
    if shape is None or values.ndim != 1:
        return None
    axis = next((a.i for a in half.attribute if a.name == "axis"), 1) % len(shape)
    return values.astype(np.float64).reshape([-1 if place == axis else 1 for place in range(len(shape))])


def _observed(ranges: Mapping[str, RangeStats], name: str) -> float:
    seen = ranges.get(name)
    return MARGIN * max(-seen.low, seen.high, 0.0) if seen is not None and seen.count else math.inf


def _largest(values: Array) -> float:
    if values.dtype.kind not in "fiu" or not values.size:
        return 0.0
    return float(np.abs(values.astype(np.float64)).max())
