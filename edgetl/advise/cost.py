"""What one inference of a network costs, counted in its graph: multiply-adds by kind, bytes, launches."""

from __future__ import annotations

import math
from pathlib import Path

import onnx

from edgetl.errors import InputError
from edgetl.quantize import graph as graphs
from edgetl.quantize.graph import Graph
from edgetl.types import Record

__all__ = ["Cost", "of_model"]

FREE = frozenset(
    {"Cast", "Constant", "Dropout", "Flatten", "Identity", "Reshape", "Shape", "Squeeze", "Unsqueeze"}
)
"""Operators that move nothing: compilers take them out."""
FUSED = frozenset({"BatchNormalization", "Clip", "Relu"})
"""Operators that a layer in front of them does on its way out."""


class Cost(Record, frozen=True, kw_only=True):
    """Of one inference at the graph's batch.

    Attributes
    ----------
    spatial, pointwise, depthwise, dense : multiply-adds of convolutions with larger kernels, of those with 1 x 1, of
        those that keep groups apart, and of matrix products.
    weights : bytes of INT8 weights. moved : bytes that weighted layers read and write, of INT8.
    others : elements that all other layers read and write. launches : layers that are left once compilers fused.
    """

    spatial: float = 0.0
    pointwise: float = 0.0
    depthwise: float = 0.0
    dense: float = 0.0
    weights: float = 0.0
    moved: float = 0.0
    others: float = 0.0
    launches: float = 0.0


def of_model(path: Path) -> Cost:
    """The cost of an ONNX model whose shapes are fixed.

    Raises
    ------
    InputError : a layer's shape is not known.
    """
    graph = graphs.load(path)
    found = dict.fromkeys(Cost.__struct_fields__, 0.0)
    for node in graph.model.graph.node:
        kind = graphs.operator(node)
        if kind in FREE or not any(name in graph.floats for name in node.output):
            continue
        moved = sum(_elements(graph, name) for name in [*_read(graph, node), *node.output])
        if kind in graphs.WEIGHTED and graph.is_weight(node.input[1]):
            weights = _elements(graph, node.input[1])
            found[_kind(graph, node)] += _multiply_adds(graph, node)
            found["weights"] += weights
            found["moved"] += moved
            found["launches"] += 1
        elif kind not in FUSED:
            found["others"] += moved
            found["launches"] += 1
    return Cost(**found)


def _read(graph: Graph, node: onnx.NodeProto) -> list[str]:
    return [name for name in node.input if name and name not in graph.constants]


def _elements(graph: Graph, name: str) -> float:
    shape = graph.shape(name)
    if shape is None or None in shape:
        raise InputError(
            f"the shape of {name!r} is not fixed", hint="a model with --batch 1 and a fixed size"
        )
    return float(math.prod(extent for extent in shape if extent is not None))


def _kind(graph: Graph, node: onnx.NodeProto) -> str:
    if graphs.operator(node) in ("Gemm", "MatMul"):
        return "dense"
    shape = graph.shape(node.input[1])
    assert shape is not None  # a constant has one
    if _groups(node) > 1:
        return "depthwise"
    return "pointwise" if all(extent == 1 for extent in shape[2:]) else "spatial"


def _groups(node: onnx.NodeProto) -> int:
    return next((int(a.i) for a in node.attribute if a.name == "group"), 1)


def _multiply_adds(graph: Graph, node: onnx.NodeProto) -> float:
    """Each weight is used once for every place that the layer is applied at."""
    weights, kind = graph.shape(node.input[1]), graphs.operator(node)
    assert weights is not None
    if kind == "Conv":
        return _elements(graph, node.output[0]) * float(math.prod(e or 1 for e in weights[1:]))
    if kind == "ConvTranspose":
        return _elements(graph, node.input[0]) * float(math.prod(e or 1 for e in weights[1:]))
    return _elements(graph, node.input[0]) * _elements(graph, node.output[0]) / _rows(graph, node)


def _rows(graph: Graph, node: onnx.NodeProto) -> float:
    shape = graph.shape(node.output[0]) or [1]
    return float(math.prod(extent or 1 for extent in shape[:-1]))
