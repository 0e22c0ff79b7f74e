"""O1 to O5: what breaks or slows INT8 on OpenVINO's CPU plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from onnx import TensorProto

from edgetl.quantize.absorb import implied
from edgetl.quantize.graph import WEIGHTED
from edgetl.quantize.lint.pairs import Pairs
from edgetl.quantize.lint.rules import Fault
from edgetl.quantize.plan import behind_weights

__all__ = ["CHECKS"]


def _no_signed_offset(pairs: Pairs) -> Iterator[Fault]:
    for half in pairs.quantizers:
        zero = pairs.zero_point(half)
        if pairs.on_weights(half) or zero is None or pairs.integers(half) != TensorProto.INT8:
            continue
        if np.any(zero != 0):
            yield Fault(half.name, f"int8 with zero point {zero.ravel()[0]}")


def _whole_hardswish(pairs: Pairs) -> Iterator[Fault]:
    for node in pairs.of("HardSigmoid"):
        gated = [reader for reader in pairs.goes_to(node.output[0]) if reader.op_type == "Mul"]
        if any(node.input[0] in reader.input for reader in gated):
            yield Fault(node.name, f"HardSigmoid and Mul {gated[0].name} are a HardSwish")


def _absorbed(pairs: Pairs) -> Iterator[Fault]:
    for half in pairs.quantizers:
        node = pairs.producer(half.input[0], "Relu", "Clip")
        scale, zero = pairs.scale(half), pairs.zero_point(half)
        if node is None or scale is None or zero is None or scale.size > 1 or zero.dtype != np.uint8:
            continue
        alone = all(len(pairs.readers(name)) == 1 for name in (node.input[0], node.output[0]))
        first = pairs.producer(node.input[0]) is None
        if alone and not first and implied(pairs.graph, node, float(scale.ravel()[0]), int(zero.ravel()[0])):
            yield Fault(node.name, f"{node.op_type} that {half.name} implies")


def _float_preprocessing(pairs: Pairs) -> Iterator[Fault]:
    behind = behind_weights(pairs.graph)
    for half in pairs.dequantizers:
        if half.output[0] in behind or pairs.on_weights(half):
            continue
        arithmetic = [node for node in pairs.goes_to(half.output[0]) if node.op_type not in WEIGHTED]
        if arithmetic:
            yield Fault(half.name, f"before {arithmetic[0].op_type} {arithmetic[0].name}")


def _unsigned(pairs: Pairs) -> Iterator[Fault]:
    for half in pairs.quantizers:
        zero = pairs.zero_point(half)
        signed = pairs.integers(half) == TensorProto.INT8 and not pairs.on_weights(half)
        if signed and (zero is None or not np.any(zero)):
            yield Fault(half.name, "int8 symmetric")


CHECKS: Mapping[str, Callable[[Pairs], Iterator[Fault]]] = {
    "O1": _no_signed_offset,
    "O2": _whole_hardswish,
    "O3": _absorbed,
    "O4": _float_preprocessing,
    "O5": _unsigned,
}
