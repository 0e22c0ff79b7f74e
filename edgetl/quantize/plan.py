"""Where Q/DQ pairs go: a graph and a scheme in, names out. Nothing is changed here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

import msgspec
import numpy as np
import onnx

from edgetl.quantize.graph import CONTROL, WEIGHTED, Graph, operator
from edgetl.quantize.schemes import SCHEMES, Scheme

__all__ = ["Placement", "behind_weights", "plan", "tensors_to_observe", "weight_axis"]

_FREE = ("Relu", "Clip", "Cast", "Dropout", "Identity")
"""Operators that cost nothing beside a layer in integers: fused into it, or taken out."""


@dataclass
class Placement:
    """What will be quantized.

    Attributes
    ----------
    pairs : activation tensor -> names of the nodes that read its quantized form.
    weights : weight tensor -> axis of its output channels.
    layers : names of the weighted nodes that run in integers, in graph order.
    joins : names of the other nodes that do.
    left : weighted node that stays in float -> why.
    equal : groups of tensors that share one scale; no tensor is in two.
    unknown : other operators that compute floats behind the first layer, and how many there are of each.
    """

    pairs: dict[str, set[str]] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    layers: list[str] = field(default_factory=list)
    joins: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    equal: list[set[str]] = field(default_factory=list)
    unknown: dict[str, int] = field(default_factory=dict)


def plan(graph: Graph, scheme: Scheme, kept: Set[str] = frozenset()) -> Placement:
    """Where the scheme's rules put pairs in this graph; layers named in ``kept`` stay in float."""
    made = Placement()
    _choose_layers(graph, scheme, made, kept)
    chosen = set(made.layers)
    inside = behind_weights(graph)
    depths = _depths(graph)
    for node in graph.model.graph.node:
        if node.name in chosen:
            _want(graph, scheme, made, node, [node.input[0]])
        elif operator(node) in scheme.joins:
            joined = _join_inputs(graph, scheme, node, depths)
            if node.op_type in scheme.between and not _read_in_integers(graph, scheme, node, chosen):
                continue
            if joined and all(name in inside for name in node.input if name in graph.floats):
                made.joins.append(node.name)
                _want(graph, scheme, made, node, joined)
                if node.op_type == "Concat":  # what it gives shares the scale too: in integers it only copies
                    sources = {_source(graph, scheme, name) for name in joined}
                    _join_groups(made.equal, {*sources, node.output[0]})
    made.equal = [group & made.pairs.keys() for group in made.equal]
    made.unknown = _unknown(graph, scheme, inside)
    return made


def _unknown(graph: Graph, scheme: Scheme, inside: Set[str]) -> dict[str, int]:
    """Operators that the scheme has no rule for and that compute floats, or hold a graph of their own."""
    known = {*WEIGHTED, *scheme.joins, *scheme.passing, *_FREE}
    found = [
        operator(node)
        for node in graph.model.graph.node
        if operator(node) in CONTROL
        or (operator(node) not in known and any(n in inside and n in graph.floats for n in node.output))
    ]
    return dict(sorted(Counter(found).items()))


def _join_groups(groups: list[set[str]], names: set[str]) -> None:
    """Add a group, merged with every group that it shares a tensor with."""
    for group in [group for group in groups if group & names]:
        names = names | group
        groups.remove(group)
    groups.append(names)


def tensors_to_observe(graph: Graph) -> list[str]:
    """Activations that some scheme may put a pair on, in graph order."""
    wanted = {name for scheme in SCHEMES.values() for name in plan(graph, _widest(scheme)).pairs}
    made = [name for node in graph.model.graph.node for name in node.output]
    return [name for name in [*(v.name for v in graph.model.graph.input), *made] if name in wanted]


def behind_weights(graph: Graph) -> set[str]:
    """Tensors that depend on a weighted layer: what is before the first one is preprocessing."""
    behind: set[str] = set()
    for node in graph.model.graph.node:
        if node.op_type in WEIGHTED or any(name in behind for name in node.input):
            behind.update(node.output)
    return behind


def weight_axis(node: onnx.NodeProto) -> int:
    """Axis of the output channels in a weighted node's weights."""
    if node.op_type == "ConvTranspose":
        return 1
    if node.op_type == "Gemm":
        return 0 if any(a.name == "transB" and a.i for a in node.attribute) else 1
    return 1 if node.op_type == "MatMul" else 0


def _widest(scheme: Scheme) -> Scheme:
    """The scheme with every layer and both inputs of an Add: no other setting of it wants more pairs."""
    return msgspec.structs.replace(
        scheme, first_float=False, last_float=False, depthwise_float=False, residual="both"
    )


def _choose_layers(graph: Graph, scheme: Scheme, made: Placement, kept: Set[str]) -> None:
    candidates = [n for n in graph.model.graph.node if operator(n) in WEIGHTED and n.input[0] in graph.floats]
    ready = [node for node in candidates if graph.is_weight(node.input[1])]
    for node in candidates:
        reason = "sensitive" if node.name in kept else _reason_for_float(graph, scheme, node)
        if not reason and scheme.first_float and node is ready[0]:
            reason = "first layer"
        if not reason and scheme.last_float and node is ready[-1] and len(ready) > 1:
            reason = "last layer"
        if reason:
            made.left[node.name] = reason
        else:
            made.layers.append(node.name)
            made.weights[node.input[1]] = weight_axis(node)


def _reason_for_float(graph: Graph, scheme: Scheme, node: onnx.NodeProto) -> str:
    if node.op_type not in scheme.weighted:
        return f"{node.op_type} is not quantized for {scheme.name}"
    if not graph.is_weight(node.input[1]):
        return "its weights are computed"
    rank = graph.array(node.input[1]).ndim
    if node.op_type == "MatMul" and rank != 2:
        return f"its weights have rank {rank}"
    if node.op_type == "MatMul" and _thin(graph, node, scheme.min_matmul):
        return f"a small MatMul, which is faster in float for {scheme.name}"
    if scheme.depthwise_float and _is_depthwise(graph, node):
        return f"a depthwise convolution, which is often faster in float for {scheme.name}"
    if node.op_type == "ConvTranspose" and any(a.name == "group" and a.i > 1 for a in node.attribute):
        return "a grouped transposed convolution"
    readers = {weight_axis(reader) for reader in graph.consumers[node.input[1]] if reader.op_type in WEIGHTED}
    if len(readers) > 1 or any(reader.op_type not in WEIGHTED for reader in graph.consumers[node.input[1]]):
        return "its weights are shared with another use"
    return ""


def _is_depthwise(graph: Graph, node: onnx.NodeProto) -> bool:
    """Whether each output channel of a convolution reads one input channel."""
    grouped = any(a.name == "group" and a.i > 1 for a in node.attribute)
    return node.op_type == "Conv" and grouped and graph.array(node.input[1]).shape[1] == 1


def _thin(graph: Graph, node: onnx.NodeProto, least: int) -> bool:
    """Whether a MatMul has one row or column, or an inner size or columns below ``least``; 0 lets all pass."""
    inner, columns = graph.array(node.input[1]).shape
    rows = (graph.shape(node.input[0]) or [None])[-2:][0]
    return least > 0 and (min(inner, columns) < least or columns == 1 or rows == 1)


def _join_inputs(graph: Graph, scheme: Scheme, node: onnx.NodeProto, depths: Mapping[str, int]) -> list[str]:
    """The inputs of a joining node that get a pair; empty where it is not one (an operand is constant)."""
    count = len(node.input) if node.op_type == "Concat" else 2 if node.op_type in ("Add", "Mul") else 1
    inputs = list(node.input[:count])
    if not all(name in graph.floats for name in inputs):
        return []
    if node.op_type == "Add" and scheme.residual == "skip":
        return [min(inputs, key=lambda name: (depths.get(name, 0), name))]
    return inputs


def _read_in_integers(graph: Graph, scheme: Scheme, node: onnx.NodeProto, chosen: set[str]) -> bool:
    """Whether a layer in integers or a join reads what a node gives, at once or after it was moved or clipped."""
    for reader in graph.consumers.get(node.output[0], ()):
        if reader.name in chosen or reader.op_type in scheme.joins:
            return True
        through = reader.op_type in ("Relu", "Clip") or _passes(graph, scheme, reader)
        if through and _read_in_integers(graph, scheme, reader, chosen):
            return True
    return False


def _depths(graph: Graph) -> dict[str, int]:
    """Tensor -> number of weighted layers on the longest way to it."""
    depths: dict[str, int] = {}
    for node in graph.model.graph.node:
        deepest = max((depths.get(name, 0) for name in node.input), default=0) + (node.op_type in WEIGHTED)
        depths.update(dict.fromkeys(node.output, deepest))
    return depths


def _passes(graph: Graph, scheme: Scheme, node: onnx.NodeProto) -> bool:
    """Whether a node only moves what it reads; what a Pad adds is zero, which every integer type holds exactly."""
    if node.op_type != "Pad":
        return node.op_type in scheme.passing
    mode = next((a.s for a in node.attribute if a.name == "mode"), b"constant")
    added = node.input[2] if len(node.input) > 2 else ""
    zero = not added or (added in graph.constants and not np.any(graph.array(added)))
    return "Pad" in scheme.passing and mode == b"constant" and bool(zero)


def _source(graph: Graph, scheme: Scheme, name: str) -> str:
    """The tensor to quantize for the sake of ``name``: up through operators that only move values."""
    while (node := graph.producer.get(name)) is not None and _passes(graph, scheme, node):
        if node.input[0] not in graph.floats:
            return name
        name = node.input[0]
    return name


def _want(graph: Graph, scheme: Scheme, made: Placement, node: onnx.NodeProto, names: Iterable[str]) -> None:
    for name in names:
        reader = node.name
        while (before := graph.producer.get(name)) is not None and _passes(graph, scheme, before):
            if before.input[0] not in graph.floats:
                break
            name, reader = before.input[0], before.name
        made.pairs.setdefault(name, set()).add(reader)
