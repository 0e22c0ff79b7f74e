"""R13 to R28: where pairs let TensorRT fuse and run in INT8, and where they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import onnx

from edgetl.quantize.graph import WEIGHTED
from edgetl.quantize.lint.pairs import MOVING, Pairs, attribute
from edgetl.quantize.lint.rules import Fault

__all__ = ["CHECKS"]

FUSED = ("BatchNormalization", "Clip", "Relu")
"""What is fused into the weighted operator before it."""
POOLS = ("AveragePool", "GlobalAveragePool")
JOINS = frozenset({*WEIGHTED, *POOLS, "Add", "Concat", "Mul"})
"""Operators with INT8 kernels: a pair before one of them is of use."""
FLOAT = ("Erf", "Exp", "Gelu", "LayerNormalization", "LogSoftmax", "NonMaxSuppression", "Softmax", "TopK")
MIN_MATMUL = 16


def _all_inputs(pairs: Pairs) -> Iterator[Fault]:
    for node in pairs.weighted():
        data, weights = (pairs.settled(name) for name in node.input[:2])
        if data != weights:
            bare = node.input[1] if data else node.input[0]
            yield Fault(node.name, f"its input {bare!r} has no pair, the other has")


def _behind_weighted(pairs: Pairs, half: onnx.NodeProto) -> onnx.NodeProto | None:
    """The weighted operator that makes what a Q reads, at once or through its BatchNormalization."""
    name = half.input[0]
    if (norm := pairs.producer(name, "BatchNormalization")) is not None:
        name = norm.input[0]
    return pairs.producer(name, *WEIGHTED)


def _after_pair(pairs: Pairs, half: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The nodes that read what a Q's DequantizeLinears give, operators that only move it left out."""
    backs = [node for node in pairs.readers(half.output[0]) if node.op_type == "DequantizeLinear"]
    return [reader for back in backs for reader in pairs.goes_to(back.output[0])]


def _no_output_pair(pairs: Pairs) -> Iterator[Fault]:
    other = {*FUSED, *FLOAT, "Sigmoid", "Resize"}  # rules of their own
    for half in pairs.quantizers:
        made, readers = _behind_weighted(pairs, half), _after_pair(pairs, half)
        if made is not None and not any(node.op_type in JOINS | other for node in readers):
            kinds = ", ".join(sorted({node.op_type for node in readers})) or "the output"
            yield Fault(half.name, f"behind {made.op_type} {made.name}, read by {kinds}")


def _fused_tail(pairs: Pairs) -> Iterator[Fault]:
    for half in pairs.quantizers:
        made = pairs.producer(half.input[0], *WEIGHTED, "BatchNormalization")
        tails = [node for node in _after_pair(pairs, half) if node.op_type in FUSED]
        if made is not None and tails:
            yield Fault(
                half.name, f"between {made.op_type} {made.name} and {tails[0].op_type} {tails[0].name}"
            )


def _residual_skip(pairs: Pairs) -> Iterator[Fault]:
    for node in pairs.of("Add"):
        names = list(node.input)
        if any(pairs.constant(name) for name in names):
            continue
        settled = [pairs.settled(name) for name in names]
        fusable = [_convolved(pairs, name) for name in names]
        if not any(fusable):
            continue
        if all(settled):
            yield Fault(node.name, "both its inputs have a pair")
        elif not any(settled):
            if not any(_pooled(pairs, node)):  # R19 says it
                yield Fault(node.name, "neither of its inputs has a pair")
        elif not fusable[settled.index(False)]:
            yield Fault(node.name, "the pair is on the convolution's side, not on the skip")


def _convolved(pairs: Pairs, name: str) -> bool:
    """Whether a tensor is the answer of a weighted operator in INT8, its pair and BatchNormalization looked through."""
    if (back := pairs.producer(name, "DequantizeLinear")) is not None:
        made = pairs.producer(back.input[0], "QuantizeLinear")
        name = made.input[0] if made is not None else name
    if (norm := pairs.producer(name, "BatchNormalization")) is not None:
        name = norm.input[0]
    node = pairs.producer(name, *WEIGHTED)
    return node is not None and pairs.settled(node.input[0])


def _no_noise(pairs: Pairs) -> Iterator[Fault]:
    for node in pairs.of(*MOVING):
        if not pairs.behind_dq(node.input[0]):
            continue
        readers = pairs.readers(node.output[0])
        residual = node.op_type == "MaxPool" and any(
            reader.op_type == "Add" for half in readers for reader in _after_pair(pairs, half)
        )
        if not residual and any(reader.op_type == "QuantizeLinear" for reader in readers):
            yield Fault(node.name, f"{node.op_type} between two pairs")


def _both_sides(pairs: Pairs) -> Iterator[Fault]:
    for node in pairs.of(*POOLS, "Add", "Mul"):
        inputs = list(node.input) if node.op_type in ("Add", "Mul") else [node.input[0]]
        before = all(pairs.settled(name) for name in inputs)
        after = any(
            reader.op_type == "QuantizeLinear"
            or (reader.op_type in FUSED and pairs.quantized_after(reader.output[0]))
            for reader in pairs.goes_to(node.output[0])
        )
        if before and not after:
            yield Fault(node.name, f"{node.op_type} has a pair before it and none behind it")
        elif after and not before and node.op_type in POOLS:
            yield Fault(node.name, f"{node.op_type} has a pair behind it and none before it")


def _pooled_skip(pairs: Pairs) -> Iterator[Fault]:
    for node in pairs.of("Add"):
        if any(_convolved(pairs, name) for name in node.input):
            for pool in _pooled(pairs, node):
                yield Fault(pool.name, f"on the skip connection of {node.name}, and has no pair")


def _pooled(pairs: Pairs, add: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The MaxPools in float whose answer an Add reads."""
    pools = (pairs.producer(name, "MaxPool") for name in add.input)
    return [pool for pool in pools if pool is not None and not pairs.settled(pool.input[0])]


def _one_concat_scale(pairs: Pairs) -> Iterator[Fault]:
    for node in pairs.of("Concat"):
        backs = [back for name in node.input if (back := _dequantizer(pairs, name)) is not None]
        if not backs:
            continue
        if len(backs) < len(node.input):
            yield Fault(node.name, f"{len(backs)} of its {len(node.input)} inputs have a pair")
            continue
        ahead = [reader for reader in pairs.goes_to(node.output[0]) if reader.op_type == "QuantizeLinear"]
        scales = {float(s.ravel()[0]) for half in (*backs, *ahead) if (s := pairs.scale(half)) is not None}
        if len(scales) > 1:
            yield Fault(node.name, f"scales from {min(scales):.3g} to {max(scales):.3g}")


def _dequantizer(pairs: Pairs, name: str) -> onnx.NodeProto | None:
    while (moved := pairs.producer(name, *MOVING)) is not None:
        name = moved.input[0]
    return pairs.producer(name, "DequantizeLinear")


def _one_tensor_one_scale(pairs: Pairs) -> Iterator[Fault]:
    by_tensor: dict[str, list[onnx.NodeProto]] = {}
    for half in pairs.quantizers:
        by_tensor.setdefault(half.input[0], []).append(half)
    for name, halves in by_tensor.items():
        found = {tuple(s.ravel().tolist()) for half in halves if (s := pairs.scale(half)) is not None}
        if len(found) > 1:
            yield Fault(halves[1].name, f"{name!r} has {len(found)} different scales in {len(halves)} pairs")


def _large_matmul(pairs: Pairs) -> Iterator[Fault]:
    for node in pairs.of("MatMul"):
        left, right = (pairs.shape(name) for name in node.input)
        if not all(pairs.settled(name) for name in node.input) or not left or not right:
            continue
        rows = left[-2] if len(left) > 1 else 1
        inner, columns = left[-1], right[-1] if len(right) > 1 else 1
        thin = rows == 1 or columns == 1
        small = any(size is not None and size < MIN_MATMUL for size in (inner, columns))
        if thin or small:
            yield Fault(node.name, f"M, K, N are {rows or '?'}, {inner or '?'}, {columns or '?'}")


def _float_kept(pairs: Pairs) -> Iterator[Fault]:
    for node in pairs.of(*FLOAT, "Resize"):
        if node.op_type == "Resize" and attribute(node, "mode") not in (b"linear", b"cubic"):
            continue
        back = pairs.producer(node.input[0], "DequantizeLinear") if node.input else None
        if back is None:
            continue
        half = pairs.producer(back.input[0], "QuantizeLinear")
        if (
            node.op_type == "LayerNormalization"
            and half is not None
            and _behind_weighted(pairs, half) is not None
        ):
            continue  # R26 asks for it
        yield Fault(node.name, f"{node.op_type} reads a pair")


def _into_norm(pairs: Pairs) -> Iterator[Fault]:
    for node in pairs.of("LayerNormalization"):
        name = node.input[0]
        while (moved := pairs.producer(name, *MOVING)) is not None:
            name = moved.input[0]
        made = pairs.producer(name, "Conv")
        if made is not None and pairs.settled(made.input[0]):
            yield Fault(node.name, f"reads Conv {made.name}, which is in INT8, without a pair")


def _whole_silu(pairs: Pairs) -> Iterator[Fault]:
    for node in pairs.of("Mul"):
        gates = [gate for name in node.input if (gate := pairs.producer(name, "Sigmoid")) is not None]
        for gate in gates:
            others = [name for name in node.input if name != gate.output[0]]
            halves = [_quantizer(pairs, name) for name in (gate.input[0], *others)]
            sources = {half.input[0] for half in halves if half is not None}
            if (
                len(others) == 1
                and sources
                and _one_value(pairs, gate.input[0]) == _one_value(pairs, others[0])
            ):
                made = pairs.producer(next(iter(sources)), *WEIGHTED)
                if made is not None:
                    yield Fault(node.name, f"a pair between {made.op_type} {made.name} and its SiLU")


def _quantizer(pairs: Pairs, name: str) -> onnx.NodeProto | None:
    """The Q of the pair that a tensor comes out of."""
    back = pairs.producer(name, "DequantizeLinear")
    return pairs.producer(back.input[0], "QuantizeLinear") if back is not None else None


def _one_value(pairs: Pairs, name: str) -> str:
    """The tensor that stands before a tensor's pair, if it has one."""
    half = _quantizer(pairs, name)
    return half.input[0] if half is not None else name


def _adjacent_norm(pairs: Pairs) -> Iterator[Fault]:
    for node in pairs.of("BatchNormalization"):
        between = pairs.producer(node.input[0], "Identity")
        made = pairs.producer(between.input[0], "ConvTranspose") if between is not None else None
        if between is not None and made is not None:
            yield Fault(between.name, f"between ConvTranspose {made.name} and BatchNormalization {node.name}")


CHECKS: Mapping[str, Callable[[Pairs], Iterator[Fault]]] = {
    "R13": _all_inputs,
    "R14": _no_output_pair,
    "R15": _fused_tail,
    "R16": _residual_skip,
    "R17": _no_noise,
    "R18": _both_sides,
    "R19": _pooled_skip,
    "R20": _one_concat_scale,
    "R21": _one_tensor_one_scale,
    "R24": _large_matmul,
    "R25": _float_kept,
    "R26": _into_norm,
    "R27": _whole_silu,
    "R28": _adjacent_norm,
}
