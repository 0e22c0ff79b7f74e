"""The Q/DQ view of a graph: which tensors come out of integers, and which go into them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from edgetl.quantize.graph import WEIGHTED, Graph, Shape

__all__ = ["Pairs", "attribute"]

MOVING = frozenset(
    {
        "Flatten",
        "Identity",
        "MaxPool",
        "Pad",
        "Reshape",
        "Slice",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)
"""Operators that move values and compute none: a pair before one of them serves what comes after it."""


class Pairs:
    """Look-ups over a graph with Q/DQ pairs.

    Attributes
    ----------
    graph : the graph, shapes inferred as far as they can be.
    nodes : its nodes, in graph order.
    quantizers, dequantizers : the QuantizeLinear and DequantizeLinear nodes among them.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = list(graph.model.graph.node)
        self.quantizers = list(self.of("QuantizeLinear"))
        self.dequantizers = list(self.of("DequantizeLinear"))

    @property
    def halves(self) -> list[onnx.NodeProto]:
        """Every Q and every DQ."""
        return [*self.quantizers, *self.dequantizers]

    @property
    def opset(self) -> int:
        """Of ONNX's own operators."""
        return self.graph.opset

    def of(self, *kinds: str) -> Iterator[onnx.NodeProto]:
        """The nodes of some operators."""
        return (node for node in self.nodes if node.op_type in kinds)

    def weighted(self) -> Iterator[onnx.NodeProto]:
        """Conv, ConvTranspose, Gemm and MatMul."""
        return self.of(*WEIGHTED)

    def producer(self, name: str, *kinds: str) -> onnx.NodeProto | None:
        """The node that makes a tensor; ``None`` where it is of none of the kinds, if any are given."""
        made = self.graph.producer.get(name)
        return made if made is not None and (not kinds or made.op_type in kinds) else None

    def readers(self, name: str) -> list[onnx.NodeProto]:
        """The nodes that read a tensor."""
        return self.graph.consumers.get(name, [])

    def behind_dq(self, name: str) -> bool:
        """Whether a tensor is what a DequantizeLinear gives."""
        return self.producer(name, "DequantizeLinear") is not None

    def settled(self, name: str) -> bool:
        """Whether a tensor comes from integers: behind a DequantizeLinear, or moved from behind one."""
        while (moved := self.producer(name, *MOVING)) is not None:
            name = moved.input[0]
        return self.behind_dq(name)

    def goes_to(self, name: str) -> list[onnx.NodeProto]:
        """The nodes that read a tensor, those behind operators that only move it included."""
        found: list[onnx.NodeProto] = []
        for reader in self.readers(name):
            found += self.goes_to(reader.output[0]) if reader.op_type in MOVING else [reader]
        return found

    def quantized_after(self, name: str) -> bool:
        """Whether a tensor is turned into integers by some reader, at once or after it was moved."""
        return any(reader.op_type == "QuantizeLinear" for reader in self.goes_to(name))

    def constant(self, name: str) -> bool:
        """Whether a tensor depends on nothing but initialisers."""
        return name in self._constants

    def value(self, name: str) -> npt.NDArray[np.generic] | None:
        """The value of an initialiser; ``None`` where it is computed or absent."""
        return self.graph.array(name) if name and name in self.graph.constants else None

    def scale(self, half: onnx.NodeProto) -> npt.NDArray[np.generic] | None:
        """The scale of a Q or a DQ; ``None`` where it is computed."""
        return self.value(half.input[1])

    def zero_point(self, half: onnx.NodeProto) -> npt.NDArray[np.generic] | None:
        """The zero point; ``None`` where it is computed or absent."""
        return self.value(half.input[2]) if len(half.input) > 2 else None

    def scales(self, half: onnx.NodeProto) -> int:
        """How many scales a half has; 1 where they are computed."""
        scale = self.scale(half)
        return 1 if scale is None else int(scale.size)

    def on_weights(self, half: onnx.NodeProto) -> bool:
        """Whether the pair that this belongs to is on something constant."""
        return self.constant(half.input[0])

    def integers(self, half: onnx.NodeProto) -> int:
        """ONNX's number of the integer type of a half, as ONNX reads it; 0 where it is not known."""
        if half.op_type == "DequantizeLinear":
            return self.kind(half.input[0])
        if len(half.input) > 2 and half.input[2]:
            return self.kind(half.input[2])
        named = attribute(half, "output_dtype")
        return named if isinstance(named, int) and named else onnx.TensorProto.UINT8

    def kind(self, name: str) -> int:
        """ONNX's number of a tensor's element type, 0 where it is not known."""
        return self.graph.kind(name)

    def shape(self, name: str) -> Shape | None:
        """A tensor's shape as far as it is known, ``None`` for a dimension or a rank that is not."""
        return self.graph.shape(name)

    @cached_property
    def _constants(self) -> set[str]:
        found = set(self.graph.constants)
        for node in self.nodes:
            if all(name in found for name in node.input if name):
                found.update(node.output)
        return found


def attribute(node: onnx.NodeProto, name: str) -> object | None:
    """The value of an attribute, ``None`` where the node does not have it."""
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), None)
