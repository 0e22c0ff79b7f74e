"""T1 to T4: what the types in a graph mean to TensorRT, which takes them as they are in a strongly typed network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

import numpy as np
from onnx import TensorProto

from edgetl.quantize.halvable import PRECISE, schema_of
from edgetl.quantize.lint.pairs import Pairs
from edgetl.quantize.lint.rules import Fault

__all__ = ["CHECKS"]

FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE})


def _one_type(pairs: Pairs) -> Iterator[Fault]:
    for node in pairs.nodes:
        schema = schema_of(pairs.graph, node)
        if schema is None or node.op_type == "QuantizeLinear":  # a Q's scale is R33's
            continue
        seen: dict[str, list[str]] = {}
        for place, name in enumerate(node.input):
            if pairs.kind(name) in FLOATS:
                formal = schema.inputs[min(place, len(schema.inputs) - 1)]
                seen.setdefault(formal.type_str, []).append(name)
        for names in seen.values():
            for one, other in pairwise(names):
                if pairs.kind(one) != pairs.kind(other):
                    kinds = (TensorProto.DataType.Name(pairs.kind(name)).lower() for name in (one, other))
                    yield Fault(node.name, f"{one!r} is {next(kinds)}, {other!r} is {next(kinds)}")


def _no_islands(pairs: Pairs) -> Iterator[Fault]:
    kinds = [pairs.kind(name) for node in pairs.nodes for name in node.output]
    if TensorProto.FLOAT16 not in kinds:
        return
    for node in pairs.nodes:
        if node.op_type in PRECISE or node.op_type in ("Cast", "QuantizeLinear", "DequantizeLinear"):
            continue
        for name in node.input:
            if pairs.kind(name) != TensorProto.FLOAT or (pairs.constant(name) and not pairs.behind_dq(name)):
                continue
            widened = pairs.producer(name, "Cast")
            if pairs.behind_dq(name) or (widened and pairs.kind(widened.input[0]) == TensorProto.FLOAT16):
                yield Fault(node.name, f"{node.op_type} reads {name!r} in float32")
                break


def _finite(pairs: Pairs) -> Iterator[Fault]:
    for name in sorted(pairs.graph.constants):
        value = pairs.value(name)
        if pairs.kind(name) == TensorProto.FLOAT16 and value is not None and not np.isfinite(value).all():
            readers = pairs.readers(name)
            yield Fault(readers[0].name if readers else name, f"constant {name!r} is not finite in FP16")


def _pixels_cast(pairs: Pairs) -> Iterator[Fault]:
    if not pairs.halves:
        return  # a float graph: quantizing it for TensorRT puts the cast first
    for value in pairs.graph.model.graph.input:
        if pairs.kind(value.name) != TensorProto.UINT8:
            continue
        for node in pairs.readers(value.name):
            if node.op_type not in ("Cast", "Shape"):
                yield Fault(node.name, f"{node.op_type} reads the uint8 input {value.name!r}")


CHECKS: Mapping[str, Callable[[Pairs], Iterator[Fault]]] = {
    "T1": _one_type,
    "T2": _no_islands,
    "T3": _finite,
    "T4": _pixels_cast,
}
