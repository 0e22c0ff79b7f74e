"""Which nodes of a graph may compute in FP16, and why the others may not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from edgetl.quantize.bounds import summands
from edgetl.quantize.graph import WEIGHTED, Graph
from edgetl.quantize.plan import behind_weights

__all__ = ["LARGEST", "NORMAL", "PRECISE", "reasons", "schema_of", "takes_half"]

LARGEST, NORMAL = 65504.0, 2.0**-14
"""The largest finite FP16, and the smallest with all its digits."""
PRECISE = frozenset(
    {
        *("CumSum", "Exp", "GroupNormalization", "InstanceNormalization", "LRN", "LayerNormalization", "Log"),
        *("LogSoftmax", "LpNormalization", "Pow", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp"),
        *("ReduceProd", "ReduceSum", "ReduceSumSquare", "Softmax"),
    }
)
"""Operators whose sums or powers lose digits that the answer needs."""
_ADDING = frozenset({"AveragePool", "GlobalAveragePool", "ReduceMean"})
_TYPED = frozenset({"ConstantOfShape", "EyeLike", "RandomNormal", "RandomUniform", "Range"})
"""Operators that make floats from nothing that is one: their type is written in them."""
_PAIRS = frozenset({"QuantizeLinear", "DequantizeLinear"})


def reasons(graph: Graph, bounds: Mapping[str, float], coarse: frozenset[str]) -> dict[str, str]:
    """Name of each node that touches floats and stays in float32 -> why.

    Parameters
    ----------
    bounds : of ``bounds.magnitudes``.
    coarse : tensors behind a DequantizeLinear whose scale FP16 does not hold.

    Notes
    -----
    A Q or a DQ has no type of its own: it has that of what it reads, or of what reads it.
    """
    behind, pixels = behind_weights(graph), _from_inputs(graph)
    found: dict[str, str] = {}
    for node in graph.model.graph.node:
        if node.op_type in _PAIRS or not _touches_floats(graph, node):
            continue
        before = node.op_type not in WEIGHTED and not behind.issuperset(node.output)
        if before and any(name in pixels for name in node.input):
            found[node.name] = (
                "before the first layer: pixels keep their digits, in one pass that is no longer for it"
            )
        elif why := _operator(graph, node) or _constants(graph, node, bounds) or _range(graph, node, bounds):
            found[node.name] = why
        elif lost := [name for name in node.input if name in coarse]:
            found[node.name] = f"FP16 does not hold the scale of {lost[0]!r}"
    return found


def schema_of(graph: Graph, node: onnx.NodeProto) -> Any | None:
    """ONNX's definition of a node's operator at the graph's opset; ``None`` for another's."""
    if node.domain not in ("", "ai.onnx") or not onnx.defs.has(
        node.op_type, max_inclusive_version=graph.opset, domain=""
    ):
        return None
    return onnx.defs.get_schema(node.op_type, max_inclusive_version=graph.opset, domain="")


def takes_half(graph: Graph, node: onnx.NodeProto, place: int) -> bool:
    """Whether ONNX lets a node's input of this place be FP16."""
    schema = schema_of(graph, node)
    if schema is None or not schema.inputs:
        return False
    return "tensor(float16)" in schema.inputs[min(place, len(schema.inputs) - 1)].types


def _touches_floats(graph: Graph, node: onnx.NodeProto) -> bool:
    return any(name in graph.floats or graph.is_weight(name) for name in (*node.input, *node.output))


def _from_inputs(graph: Graph) -> set[str]:
    """Tensors that depend on the graph's inputs, up to the first pair."""
    found = {value.name for value in graph.model.graph.input}
    for node in graph.model.graph.node:
        if node.op_type != "QuantizeLinear" and any(name in found for name in node.input):
            found.update(node.output)
    return found


def _operator(graph: Graph, node: onnx.NodeProto) -> str:
    """What of the operator itself keeps it in float32."""
    if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
        return "control flow"
    if node.op_type in PRECISE:
        return f"{node.op_type} loses digits in FP16"
    if node.op_type in _TYPED:
        return "its type is written in it"
    schema = schema_of(graph, node)
    if schema is None:
        return "not an operator of ONNX"
    places = [place for place, name in enumerate(node.input) if name in graph.floats]
    made = [schema.outputs[min(place, len(schema.outputs) - 1)].types for place in range(len(node.output))]
    floats = [types for types, name in zip(made, node.output, strict=True) if name in graph.floats]
    if not all(takes_half(graph, node, place) for place in places) or not all(
        "tensor(float16)" in types for types in floats
    ):
        return f"ONNX has no {node.op_type} in FP16 at opset {graph.opset}"
    return ""


def _constants(graph: Graph, node: onnx.NodeProto, bounds: Mapping[str, float]) -> str:
    for place, name in enumerate(node.input):
        if not graph.is_weight(name) or not bounds[name]:
            continue
        if bounds[name] > LARGEST and np.isfinite(graph.array(name)).all():
            return f"constant {name!r} reaches {bounds[name]:.3g}, FP16 {LARGEST:.0f}"
        if bounds[name] < NORMAL and not (
            node.op_type in WEIGHTED and place == 2
        ):  # a bias that small is none
            return f"constant {name!r} is at most {bounds[name]:.3g}, where FP16 has few digits or none"
    return ""


def _range(graph: Graph, node: onnx.NodeProto, bounds: Mapping[str, float]) -> str:
    for name in (*node.input, *node.output):
        if name not in graph.floats or bounds.get(name, math.inf) <= LARGEST:
            continue
        if math.isinf(bounds.get(name, math.inf)):
            return f"the range of {name!r} is not known"
        return f"{name!r} may reach {bounds[name]:.3g}, FP16 holds {LARGEST:.0f}"
    if node.op_type in _ADDING:
        count = summands(graph, node)
        if count is None:
            return "how many values it adds is not known"
        if count * bounds[node.input[0]] > LARGEST:
            return f"it adds {count} values of up to {bounds[node.input[0]]:.3g}, FP16 holds {LARGEST:.0f}"
    return ""
