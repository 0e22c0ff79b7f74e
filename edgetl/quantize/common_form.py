"""What exporters write in many ways, in one: constants, leftovers of training, unknown shapes, names."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgetl.quantize import batchnorm, files, padding

__all__ = ["bring", "inner_nodes", "name_nodes", "reads", "tidy"]

FOLDED = frozenset({"Cast", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators that weights of some exporters come through: none makes more of them than there was."""
COUNTED = frozenset({"Concat", "ConstantOfShape", "Slice"})
"""Operators that numbers such as the sides of a padding are put together by; folded as long as they are few."""
FEW = 64

NUMBERS = {
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
}
"""Attributes that a Constant may hold its value in, beside a tensor."""


def bring(model: onnx.ModelProto) -> None:
    """Bring a graph to the common form, in place: it computes what it did, operator by operator.

    Constant nodes become initialisers, initialisers stop being inputs, an unknown shape stops being a scalar.
    """
    graph = model.graph
    _lift_constants(graph)
    for value in graph.output:  # some exporters write an empty shape for "unknown": it says scalar
        if not value.type.tensor_type.shape.dim:
            value.type.tensor_type.ClearField("shape")
    given = {tensor.name for tensor in graph.initializer}
    for value in [value for value in graph.input if value.name in given]:
        graph.input.remove(value)


def tidy(model: onnx.ModelProto) -> None:
    """Take out of a graph in the common form what need not run: Identity, Dropout, moving or casting constants.

    A BatchNormalization goes into the convolution before it, a Pad into the one behind it, and a Sum of two is an Add,
    which every scheme knows.
    """
    _fold(model)
    _bypass(model.graph)
    for node in model.graph.node:
        if node.op_type == "Sum" and len(node.input) == 2 and not node.domain:
            node.op_type = "Add"
    batchnorm.fold(model.graph, _readers(model.graph))
    padding.fold(model.graph, _readers(model.graph))
    _drop_unread(model.graph)


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a name of its own: its first output's, where it has none or shares it."""
    seen: set[str] = set()
    for node in graph.node:
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}:{node.output[0]}"
        seen.add(node.name)


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """What a node reads, and its branches and bodies do."""
    yield from node.input
    yield from _inside(node)


def inner_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Every node in the branches and bodies of a graph's nodes."""
    for node in graph.node:
        for body in _bodies(node):
            yield from body.node
            yield from inner_nodes(body)


def _bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        yield from (body for body in (attribute.g, *attribute.graphs) if body.node or body.output)


def _inside(node: onnx.NodeProto) -> Iterator[str]:
    """What a node's branches and bodies read or give on."""
    for body in _bodies(node):
        for inner in body.node:
            yield from reads(inner)
        yield from (value.name for value in body.output)


def _lift_constants(graph: onnx.GraphProto) -> None:
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        value = _constant(node)
        if value is not None:
            tensor = graph.initializer.add()
            tensor.CopyFrom(value)
            tensor.name = node.output[0]
            graph.node.remove(node)


def _constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """The value of a Constant node; ``None`` for text and sparse tensors."""
    (told,) = node.attribute
    if told.name == "value":
        tensor: onnx.TensorProto = told.t
        return tensor
    if told.name not in NUMBERS:
        return None
    return numpy_helper.from_array(np.array(helper.get_attribute_value(told), NUMBERS[told.name]))


def _fold(model: onnx.ModelProto) -> None:
    """Compute the nodes that only move or convert constants, or put a few numbers together."""
    graph = model.graph
    held = {tensor.name: tensor for tensor in graph.initializer if not files.is_outside(tensor)}
    shown = {value.name for value in graph.output}
    for node in list(graph.node):
        foldable = node.op_type in FOLDED | COUNTED and node.domain in ("", "ai.onnx")
        if not foldable or node.output[0] in shown or not all(name in held for name in node.input if name):
            continue
        constants = [held[name] for name in node.input if name]
        if node.op_type in COUNTED and not _few(node, constants):
            continue
        made = graph.initializer.add()
        made.CopyFrom(_computed(model, node, constants))
        made.name = node.output[0]
        held[made.name] = made
        graph.node.remove(node)


def _few(node: onnx.NodeProto, constants: list[onnx.TensorProto]) -> bool:
    """Whether what a node reads is a few numbers, and what it gives is."""
    given = int(np.prod(numpy_helper.to_array(constants[0]))) if node.op_type == "ConstantOfShape" else 0
    sizes = [int(math.prod(tensor.dims)) for tensor in constants]
    return max(given, *sizes) <= FEW


def _computed(
    model: onnx.ModelProto, node: onnx.NodeProto, constants: list[onnx.TensorProto]
) -> onnx.TensorProto:
    """The one output of a node that reads constants."""
    output = onnx.ValueInfoProto(name=node.output[0])
    alone = helper.make_model(
        helper.make_graph([node], "constant", [], [output], constants), opset_imports=model.opset_import
    )
    (value,) = ReferenceEvaluator(alone).run(None, {})
    return numpy_helper.from_array(np.asarray(value))


def _readers(graph: onnx.GraphProto) -> Counter[str]:
    """How often each tensor is read, or given on as an output."""
    found = Counter(name for node in graph.node for name in reads(node))
    found.update(value.name for value in graph.output)
    return found


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Take out the initialisers that nothing reads any more."""
    read = _readers(graph)
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in read]:
        graph.initializer.remove(tensor)


def _bypass(graph: onnx.GraphProto) -> None:
    """Let the readers of an Identity or a Dropout read what it reads: neither does anything but in training."""
    seen = {name for node in graph.node for name in _inside(node)} | {value.name for value in graph.output}
    read = _readers(graph)
    instead: dict[str, str] = {}
    for node in list(graph.node):
        idle = node.op_type == "Identity" or _is_idle_dropout(node)
        if idle and node.output[0] not in seen and not any(read[name] for name in node.output[1:] if name):
            instead[node.output[0]] = instead.get(node.input[0], node.input[0])
            graph.node.remove(node)
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name in instead:
                node.input[place] = instead[name]


def _is_idle_dropout(node: onnx.NodeProto) -> bool:
    """Whether this is a Dropout whose training mode was never asked for."""
    return node.op_type == "Dropout" and not any(node.input[2:])
