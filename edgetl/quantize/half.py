"""FP16 types written into a graph, for TensorRT that knows no other way: a strongly typed network is what it says.

With them, from 10.12 on, what is not in integers runs in FP16; before, and with weak typing, flags of the builder say
so and the graph stays as it is. What FP16 might not hold stays in float32, and is named.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgetl.calibration.range_stats import RangeStats
from edgetl.errors import InputError
from edgetl.quantize import common_form
from edgetl.quantize import graph as graphs
from edgetl.quantize.bounds import magnitudes
from edgetl.quantize.graph import Graph
from edgetl.quantize.half_scales import settle_scales
from edgetl.quantize.halvable import reasons, takes_half
from edgetl.types import Record

__all__ = ["FloatNode", "HalfReport", "write_half"]

OPSET = 19
"""The first opset in which a pair may have an FP16 scale."""
_ENDING = "_half"
VALUE = "it predicts a value, which keeps its digits"


class FloatNode(Record, frozen=True, kw_only=True):
    """A node that stays in float32, and why."""

    name: str
    op: str
    reason: str


class HalfReport(Record, frozen=True, kw_only=True):
    """What has FP16 types.

    Attributes
    ----------
    half : nodes that compute in FP16. single : those that stay in float32, with the reason.
    casts : between the two. opset : of the written model.
    vanished : constant -> how many of its values became zero, for they are too small for FP16 or its scales.
    """

    half: int
    single: tuple[FloatNode, ...]
    casts: int
    opset: int
    vanished: dict[str, int]

    def summary(self) -> str:
        """One line: ``98 of 104 nodes in FP16``."""
        return f"{self.half} of {self.half + len(self.single)} nodes in FP16"


def write_half(
    model: Path, ranges: Mapping[str, RangeStats], out: Path, *, precise: Collection[str] = ()
) -> HalfReport:
    """Write a model with FP16 types in its graph; ``out`` appears whole or not at all.

    What it takes and gives keeps its types: pixels stay uint8, logits float32.

    Parameters
    ----------
    model : with Q/DQ pairs or without.
    ranges : of its float form's tensors, as ``observe`` gives them.
    precise : names of nodes that predict values, whose digits FP16 has not: of 1000 it holds every whole number.

    Raises
    ------
    InputError : it cannot be read, its opset cannot be raised to 19, or it has FP16 types already.
    """
    graph = graphs.read(model, opset=OPSET)
    _refuse_half(graph, model.name)
    coarse, vanished = settle_scales(graph)
    kept = reasons(graph, magnitudes(graph, ranges), coarse)
    kept |= {node.name: VALUE for node in graph.model.graph.node if node.name in precise}
    writer = _Writer(graph, frozenset(kept), coarse)
    writer.write()
    graphs.save(graph.model, graph.path, out)
    kinds = {node.name: node.op_type for node in writer.old}
    return HalfReport(
        half=writer.count,
        single=tuple(FloatNode(name=name, op=kinds[name], reason=why) for name, why in kept.items()),
        casts=writer.casts,
        opset=graph.opset,
        vanished={**vanished, **writer.vanished},
    )


def _refuse_half(graph: Graph, name: str) -> None:
    proto = graph.model.graph
    names = [value.name for value in (*proto.input, *proto.value_info, *proto.output)]
    for tensor in (*names, *graph.constants):
        if graph.kind(tensor) == TensorProto.FLOAT16:
            raise InputError(
                f"{name} has FP16 types already: {tensor!r}", hint="give the float32 model that it came from"
            )


class _Writer:
    """Writes the nodes of a graph anew: every float tensor has its name in float32, another one in FP16, or both.

    Attributes
    ----------
    old : the nodes as they were. count : of them in FP16. casts : written between the types.
    vanished : float constant -> how many of its values FP16 makes zero.
    """

    def __init__(self, graph: Graph, kept: frozenset[str], coarse: frozenset[str]) -> None:
        self._graph = graph
        self._kept = kept
        self._coarse = coarse
        self._half: dict[str, str] = {}  # what is there in FP16 -> its name
        self._single = {value.name for value in graph.model.graph.input}
        self._nodes: list[onnx.NodeProto] = []
        self.old = list(graph.model.graph.node)
        self.count = self.casts = 0
        self.vanished: dict[str, int] = {}

    def write(self) -> None:
        """Replace the graph's nodes; constants that are read no more go."""
        proto = self._graph.model.graph
        for node in self.old:
            if node.op_type == "DequantizeLinear":
                continue  # written where it is read, in its reader's type
            if node.op_type == "QuantizeLinear":
                self._quantize(node)
            elif node.name in self._kept or not self._touches_floats(node):
                self._as_it_was(node)
            else:
                self._in_half(node)
        for value in proto.output:
            self._need_single(value.name)
        del proto.node[:]
        proto.node.extend(self._nodes)
        read = {name for node in self._nodes for name in common_form.reads(node)} | self._graph.outputs
        for tensor in [tensor for tensor in proto.initializer if tensor.name not in read]:
            proto.initializer.remove(tensor)

    def _touches_floats(self, node: onnx.NodeProto) -> bool:
        return any(self._is_float(name) for name in (*node.input, *node.output))

    def _is_float(self, name: str) -> bool:
        return name in self._graph.floats or self._graph.is_weight(name)

    def _as_it_was(self, node: onnx.NodeProto) -> None:
        for name in common_form.reads(node):
            self._need_single(name)
        self._nodes.append(node)
        self._single.update(node.output)

    def _in_half(self, node: onnx.NodeProto) -> None:
        made = onnx.NodeProto()
        made.CopyFrom(node)
        for place, name in enumerate(node.input):
            if self._is_float(name) and takes_half(self._graph, node, place):
                made.input[place] = self._need_half(name)
            else:
                self._need_single(name)
        for place, name in enumerate(node.output):
            if name in self._graph.floats:
                made.output[place] = self._half_name(name)
        for attribute in made.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16
        self._nodes.append(made)
        self.count += 1

    def _quantize(self, node: onnx.NodeProto) -> None:
        """A Q has the type of what it reads, unless FP16 does not hold its scale."""
        made = onnx.NodeProto()
        made.CopyFrom(node)
        backs = {back.output[0] for back in self._graph.consumers.get(node.output[0], ())}
        if node.input[0] in self._half and not backs & self._coarse:
            made.input[0], made.input[1] = self._half[node.input[0]], self._need_half(node.input[1])
        else:
            self._need_single(node.input[0])
        self._nodes.append(made)

    def _need_half(self, name: str) -> str:
        """The name of a tensor in FP16, which is written now if it is not there."""
        if name in self._half:
            return self._half[name]
        back = self._graph.producer.get(name)
        if self._graph.is_weight(name):
            self._halve_constant(name)
        elif back is not None and back.op_type == "DequantizeLinear":
            made = onnx.NodeProto()
            made.CopyFrom(back)
            made.name = f"{back.name}{_ENDING}"
            made.input[1] = self._need_half(back.input[1])
            made.output[0] = self._half_name(name)
            self._nodes.append(made)
        else:
            self._cast(name, self._half_name(name), TensorProto.FLOAT16)
        return self._half[name]

    def _need_single(self, name: str) -> None:
        """See that a tensor is there in float32."""
        back = self._graph.producer.get(name)
        if name in self._single or back is None:
            return
        if back.op_type == "DequantizeLinear":
            self._nodes.append(back)
        elif name in self._half:
            self._cast(self._half[name], name, TensorProto.FLOAT)
        self._single.add(name)

    def _half_name(self, name: str) -> str:
        self._half[name] = self._graph.label(name, (_ENDING,)) + _ENDING
        return self._half[name]

    def _halve_constant(self, name: str) -> None:
        values = self._graph.array(name)
        halved = values.astype(np.float16)
        if vanished := int(np.count_nonzero((halved == 0) & (values != 0))):
            self.vanished[name] = vanished
        self._graph.model.graph.initializer.append(numpy_helper.from_array(halved, self._half_name(name)))

    def _cast(self, source: str, target: str, to: int) -> None:
        self._nodes.append(helper.make_node("Cast", [source], [target], name=f"Cast:{target}", to=to))
        self.casts += 1
