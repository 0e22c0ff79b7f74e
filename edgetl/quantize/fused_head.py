"""The head of a classifier as one node, which TensorRT gives to the plugin of ``kernels/plugin``.

Pool, linear layer, bias, softmax and top-k are ``edgetl.EdgetlFusedHead`` then. No other runtime knows that node: the
model it came from stays what everything else compiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgetl.errors import InputError
from edgetl.quantize import common_form
from edgetl.quantize import graph as graphs
from edgetl.quantize.graph import Graph
from edgetl.runtime.prediction import PROBABILITIES
from edgetl.types import Record

__all__ = ["DOMAIN", "OPERATOR", "TOP_K", "FusedReport", "fused_node", "write_fused"]

Array = npt.NDArray[Any]
OPERATOR, DOMAIN, VERSION = "EdgetlFusedHead", "edgetl", "1"
"""Name, namespace and version of the plugin; the last is another one when its inputs or attributes change."""
TOP_K = 5
NAME = "fused_head"
TYPES = frozenset({"Cast"})
PAIRS = frozenset({"QuantizeLinear", "DequantizeLinear"})
VIEWS = frozenset({"Flatten", "Gather", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""What may be between the pool and the layer: the order of the channels stays."""
FORM = "a global average pool of (N, C, H, W), a flatten and one linear layer"


class FusedReport(Record, frozen=True, kw_only=True):
    """What one node stands for.

    Attributes
    ----------
    channels, classes : of the linear layer. top_k : classes that the node ranks.
    half : its features and weights are FP16; it sums in float32 all the same.
    replaced : nodes that are gone. pairs : quantizers among them, whose rounding is gone with them.
    """

    channels: int
    classes: int
    top_k: int
    half: bool
    replaced: tuple[str, ...]
    pairs: int

    def summary(self) -> str:
        """One line: ``head of 1280 x 1000 in one node``."""
        return f"head of {self.channels} x {self.classes} in one node"


@dataclass(frozen=True)
class _Head:
    """The end of a graph: what is pooled, the layer's float32 (classes, C) weights and (classes,) bias."""

    features: str
    weights: Array
    bias: Array


def write_fused(model: Path, out: Path) -> FusedReport:
    """Write a model with its head in one node; ``out`` appears whole or not at all.

    Inputs stay; outputs are ``probabilities`` float32 (N, classes), ``indices`` int32 (N, k) of the likeliest classes,
    the likeliest first, and ``scores`` float32 (N, k), their probabilities; k is 5, or as many as there are classes.

    Parameters
    ----------
    model : whose one output is logits, float32 (N, classes); with Q/DQ pairs or without, in float32 or FP16.

    Raises
    ------
    InputError : it cannot be read, or does not end in a head of that form.
    """
    graph = graphs.read(model)
    head = _Reader(graph, model.name).head()
    before = {node.name for node in graph.model.graph.node}
    quantizers = sum(node.op_type in PAIRS for node in graph.model.graph.node)
    half = graph.kind(head.features) == TensorProto.FLOAT16 and _fits_half(head.weights)
    top_k = min(TOP_K, len(head.bias))
    _replace(graph, head, top_k, half=half)
    left = graph.model.graph.node
    graphs.save(graph.model, graph.path, out)
    return FusedReport(
        channels=head.weights.shape[1],
        classes=len(head.bias),
        top_k=top_k,
        half=half,
        replaced=tuple(sorted(before - {node.name for node in left})),
        pairs=quantizers - sum(node.op_type in PAIRS for node in left),
    )


def fused_node(model: onnx.ModelProto) -> onnx.NodeProto | None:
    """The head's node; ``None`` in a plain model."""
    return next(
        (node for node in model.graph.node if (node.domain, node.op_type) == (DOMAIN, OPERATOR)), None
    )


class _Reader:
    """Walks from the graph's output up to what is pooled."""

    def __init__(self, graph: Graph, name: str) -> None:
        self._graph = graph
        self._name = name

    def head(self) -> _Head:
        """The head; every other form is an error that names the node which does not fit."""
        if len(self._graph.outputs) != 1:
            raise self._misfit(f"{len(self._graph.outputs)} outputs")
        output = next(iter(self._graph.outputs))
        layer = self._above(output, TYPES)
        weights, bias, source = self._layer(layer)
        pool = self._above(source, TYPES | PAIRS | VIEWS)
        self._check_pool(pool)
        shape = self._graph.shape(pool.input[0]) or [None] * 4  # not known with some free batches
        if len(shape) != 4 or shape[1] not in (None, weights.shape[1]):
            raise self._misfit(
                f"{pool.op_type} {pool.name!r} of {shape}, and {weights.shape[1]} channels in the layer"
            )
        return _Head(pool.input[0], np.ascontiguousarray(weights, np.float32), bias)

    def _above(self, tensor: str, passed: frozenset[str]) -> onnx.NodeProto:
        """The node that makes a tensor, above those that change its type, its form or its digits alone."""
        while True:
            node: onnx.NodeProto | None = self._graph.producer.get(tensor)
            if node is None:
                raise self._misfit(f"{tensor!r}, which no node makes")
            if graphs.operator(node) not in passed or not self._keeps_order(node):
                return node
            tensor = node.input[0]

    def _keeps_order(self, node: onnx.NodeProto) -> bool:
        """A Gather of all elements in their order is how one exporter writes a view."""
        if node.op_type != "Gather":
            return True
        if node.input[1] not in self._graph.constants:
            return False
        indices = self._graph.array(node.input[1]).ravel()
        size = (self._graph.shape(node.input[0]) or [None])[0]
        return len(indices) == size and bool((indices == np.arange(len(indices))).all())

    def _layer(self, node: onnx.NodeProto) -> tuple[Array, Array, str]:
        """Weights (classes, C), bias (classes,) and input of a linear layer."""
        kind = graphs.operator(node)
        if kind == "Gemm":
            return self._gemm(node)
        if kind == "Add":
            for place in (0, 1):
                bias = self._constant(node.input[1 - place])
                product = self._graph.producer.get(node.input[place])
                if bias is not None and product is not None and graphs.operator(product) == "MatMul":
                    weights, source = self._matmul(product)
                    return weights, np.broadcast_to(bias.ravel(), len(weights)).copy(), source
        if kind == "MatMul":
            weights, source = self._matmul(node)
            return weights, np.zeros(len(weights), np.float32), source
        raise self._misfit(_told(node))

    def _gemm(self, node: onnx.NodeProto) -> tuple[Array, Array, str]:
        given = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}
        given |= {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        weights = self._constant(node.input[1])
        bias = (
            self._constant(node.input[2])
            if len(node.input) > 2 and node.input[2]
            else np.zeros(1, np.float32)
        )
        if weights is None or bias is None or given["transA"]:
            raise self._misfit(f"{_told(node)} whose weights are not constant, or whose input is transposed")
        weights = np.float32(given["alpha"]) * (weights if given["transB"] else weights.T)
        bias = np.broadcast_to(np.float32(given["beta"]) * bias.ravel(), len(weights)).copy()
        return weights, bias, node.input[0]

    def _matmul(self, node: onnx.NodeProto) -> tuple[Array, str]:
        weights = self._constant(node.input[1])
        if weights is None or weights.ndim != 2:
            raise self._misfit(f"{_told(node)} whose weights are not constant")
        return weights.T, node.input[0]

    def _constant(self, name: str) -> Array | None:
        """The value of a constant in float32, also of a quantized one; ``None`` of what is computed."""
        graph, node = self._graph, self._graph.producer.get(name)
        if name in graph.constants:
            return graph.array(name).astype(np.float32)
        if node is None or node.op_type not in ("Cast", "DequantizeLinear"):
            return None
        if any(given not in graph.constants for given in node.input):
            return None
        values = graph.array(node.input[0]).astype(np.float32)
        if node.op_type == "Cast":
            return values
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        scale, zero = (self._along(node, place, values.ndim, axis) for place in (1, 2))
        return (values - zero) * scale

    def _along(self, node: onnx.NodeProto, place: int, rank: int, axis: int) -> Array:
        """A quantizer's scale or zero point, one value a channel lying along its axis."""
        if len(node.input) <= place:
            return np.zeros(1, np.float32)
        held = self._graph.array(node.input[place]).astype(np.float32)
        return held.reshape([-1 if at == axis % rank else 1 for at in range(rank)]) if held.ndim else held

    def _check_pool(self, node: onnx.NodeProto) -> None:
        """Refuse what is not a mean over height and width."""
        kind = graphs.operator(node)
        if kind == "GlobalAveragePool":
            return
        axes = next((list(a.ints) for a in node.attribute if a.name == "axes"), [])
        if len(node.input) > 1 and node.input[1] in self._graph.constants:
            axes = [int(axis) for axis in self._graph.array(node.input[1]).ravel()]
        if kind != "ReduceMean" or sorted(axis % 4 for axis in axes) != [2, 3]:
            raise self._misfit(_told(node))

    def _misfit(self, found: str) -> InputError:
        return InputError(
            f"{self._name} does not end in {FORM}, which a fused head is made of: found {found}",
            hint="without --fused-head the layers stay as they are",
        )


def _told(node: onnx.NodeProto) -> str:
    return f"{graphs.operator(node)} {node.name!r}"


def _fits_half(weights: Array) -> bool:
    return bool(np.isfinite(weights.astype(np.float16)).all())


def _replace(graph: Graph, head: _Head, top_k: int, *, half: bool) -> None:
    """Put the node where the head was, and drop what nothing reads any more."""
    proto = graph.model.graph
    rows = proto.output[0].type.tensor_type.shape.dim[0]
    name = graph.label(NAME, ("", ".weight", ".bias"))
    weights = head.weights.astype(np.float16) if half else head.weights
    held = {f"{name}.weight": weights, f"{name}.bias": head.bias.astype(np.float32)}
    outputs = [PROBABILITIES, "indices", "scores"]
    node = helper.make_node(
        OPERATOR,
        [head.features, *held],
        outputs,
        name=name,
        domain=DOMAIN,
        plugin_version=VERSION,
        plugin_namespace=DOMAIN,
        top_k=top_k,
        feature_scale=0.0,
    )
    kept = [*_needed(graph, head.features), node]
    del proto.node[:]
    proto.node.extend(kept)
    read = {name for node in kept for name in node.input}
    for tensor in [tensor for tensor in proto.initializer if tensor.name not in read]:
        proto.initializer.remove(tensor)
    proto.initializer.extend(numpy_helper.from_array(np.ascontiguousarray(a), key) for key, a in held.items())
    del proto.output[:]
    for output, kind, width in zip(
        outputs, (TensorProto.FLOAT, TensorProto.INT32, TensorProto.FLOAT), (len(head.bias), top_k, top_k)
    ):
        made = helper.make_tensor_value_info(output, kind, [None, width])
        made.type.tensor_type.shape.dim[0].CopyFrom(rows)
        proto.output.append(made)
    graph.model.opset_import.append(helper.make_opsetid(DOMAIN, 1))


def _needed(graph: Graph, tensor: str) -> Iterator[onnx.NodeProto]:
    """The nodes that a tensor depends on, in the graph's order."""
    wanted, seen = [tensor], set[str]()
    while wanted:
        node = graph.producer.get(wanted.pop())
        if node is not None and node.name not in seen:
            seen.add(node.name)
            wanted += common_form.reads(node)
    return (node for node in list(graph.model.graph.node) if node.name in seen)
