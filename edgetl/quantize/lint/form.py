"""R1 to R10, R33 to R35: what TensorRT's parser takes, and what the numbers then mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import onnx
from onnx import TensorProto

from edgetl.quantize.lint.pairs import Pairs, attribute
from edgetl.quantize.lint.rules import Fault
from edgetl.quantize.plan import weight_axis

__all__ = ["CHECKS"]

FP8 = frozenset(
    {
        TensorProto.FLOAT8E4M3FN,
        TensorProto.FLOAT8E4M3FNUZ,
        TensorProto.FLOAT8E5M2,
        TensorProto.FLOAT8E5M2FNUZ,
    }
)
INT4, FP4 = TensorProto.INT4, TensorProto.FLOAT4E2M1
TAKEN = FP8 | {TensorProto.INT8, INT4, FP4}
FOREIGN = frozenset({"ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"})


def _symmetric(pairs: Pairs) -> Iterator[Fault]:
    for half in pairs.halves:
        if len(half.input) < 3 or not half.input[2]:
            continue
        zero = pairs.zero_point(half)
        if zero is None:
            yield Fault(half.name, "its zero point is computed, not constant")
        elif np.any(zero.astype(np.float32) != 0):
            yield Fault(half.name, f"zero point {zero.ravel()[np.flatnonzero(zero.ravel())[0]]}")


def _signed(pairs: Pairs) -> Iterator[Fault]:
    for half in pairs.halves:
        kind = pairs.integers(half)
        if kind and kind not in TAKEN and kind != TensorProto.INT32:  # int32 is R9's
            stated = len(half.input) > 2 or attribute(half, "output_dtype")
            silent = "" if stated or half.op_type == "DequantizeLinear" else ", which is ONNX's default"
            yield Fault(half.name, f"{TensorProto.DataType.Name(kind).lower()} integers{silent}")


def _positive(pairs: Pairs) -> Iterator[Fault]:
    for half in pairs.halves:
        scale = pairs.scale(half)
        if scale is None:
            yield Fault(half.name, "its scale is computed, not constant")
        elif not np.all(np.isfinite(scale.astype(np.float32)) & (scale.astype(np.float32) > 0)):
            values = scale.astype(np.float32).ravel()
            wrong = values[~(np.isfinite(values) & (values > 0))]
            yield Fault(half.name, f"scale {wrong[0]:g} ({len(wrong)} of {len(values)})")


def _one_scale(pairs: Pairs) -> Iterator[Fault]:
    for half in pairs.quantizers:
        if pairs.scales(half) > 1 and not pairs.on_weights(half):
            yield Fault(half.name, f"{pairs.scales(half)} scales on an activation")


def _output_axis(pairs: Pairs) -> Iterator[Fault]:
    for node in pairs.weighted():
        if len(node.input) < 2 or not pairs.constant(node.input[1]):
            continue
        half, axes = _behind_transposes(pairs, node.input[1])
        if half is None or pairs.scales(half) == 1 or attribute(half, "block_size"):
            continue
        problem = _axis_problem(pairs, node, half, axes)
        if problem:
            yield Fault(half.name, f"{problem}, for {node.op_type} {node.name}")


def _behind_transposes(pairs: Pairs, name: str) -> tuple[onnx.NodeProto | None, list[int] | None]:
    """The DQ that weights come from, and which of its axes became which on the way (``None``: as they were)."""
    axes: list[int] | None = None
    while (moved := pairs.producer(name, "Transpose")) is not None:
        perm = attribute(moved, "perm")
        rank = len(pairs.shape(name) or ())
        step = [int(axis) for axis in perm] if isinstance(perm, list | tuple) else list(range(rank))[::-1]
        axes = step if axes is None else [step[axis] for axis in axes]
        name = moved.input[0]
    return pairs.producer(name, "DequantizeLinear"), axes


def _axis_problem(pairs: Pairs, node: onnx.NodeProto, half: onnx.NodeProto, axes: list[int] | None) -> str:
    shape, count = pairs.shape(half.input[0]), pairs.scales(half)
    if node.op_type == "ConvTranspose" and (attribute(node, "group") or 1) != 1:
        return f"{count} scales for grouped weights, whose axes hold no output channel"
    axis = attribute(half, "axis")
    if not isinstance(axis, int):
        return f"{count} scales and no axis: ONNX reads 1, TensorRT 0"
    rank = len(shape or ())
    wanted = weight_axis(node) if node.op_type != "MatMul" else rank - 1
    wanted = wanted if axes is None else axes[wanted]
    found = axis % rank if rank else axis
    if found != wanted:
        return f"scales on axis {axis}, output channels on axis {wanted}"
    if shape and shape[wanted] is not None and shape[wanted] != count:
        return f"{count} scales for {shape[wanted]} output channels"
    return ""


def _constant_root(pairs: Pairs) -> Iterator[Fault]:
    for half in pairs.dequantizers:
        if pairs.scales(half) > 1 and not pairs.on_weights(half):
            yield Fault(half.name, f"{pairs.scales(half)} scales on an activation")


def _no_scalar(pairs: Pairs) -> Iterator[Fault]:
    for half in pairs.halves:
        if pairs.shape(half.input[0]) == []:
            yield Fault(half.name, "its input has rank 0")


def _same_count(pairs: Pairs) -> Iterator[Fault]:
    for half in pairs.halves:
        scale, zero = pairs.scale(half), pairs.zero_point(half)
        if scale is not None and zero is not None and scale.size != zero.size:
            yield Fault(half.name, f"scale has {scale.size} elements, zero point {zero.size}")


def _float_bias(pairs: Pairs) -> Iterator[Fault]:
    wide = {half.name for half in pairs.dequantizers if pairs.kind(half.input[0]) == TensorProto.INT32}
    for name in wide:
        yield Fault(name, "dequantizes int32")
    for node in pairs.of("Conv", "ConvTranspose", "Gemm"):
        half = pairs.producer(node.input[2], "DequantizeLinear") if len(node.input) > 2 else None
        if half is not None and half.name not in wide:
            yield Fault(half.name, f"is on the bias of {node.op_type} {node.name}")


def _pairs_only(pairs: Pairs) -> Iterator[Fault]:
    for node in pairs.nodes:
        if node.op_type in FOREIGN or node.op_type.startswith("QLinear"):
            yield Fault(node.name, f"is a {node.op_type}")


def _scale_type(pairs: Pairs) -> Iterator[Fault]:
    for half in pairs.quantizers:
        data, scale = pairs.kind(half.input[0]), pairs.kind(half.input[1])
        if data and scale and data != scale:
            names = (TensorProto.DataType.Name(kind).lower() for kind in (data, scale))
            yield Fault(half.name, "its data is {}, its scale {}".format(*names))


def _not_mixed(pairs: Pairs) -> Iterator[Fault]:
    kinds = {half.name: pairs.integers(half) for half in pairs.halves}
    eight = [name for name, kind in kinds.items() if kind in FP8]
    if eight and TensorProto.INT8 in kinds.values():
        yield Fault(eight[0], f"{len(eight)} FP8 nodes beside INT8 ones")


def _opset(pairs: Pairs) -> Iterator[Fault]:
    for half in pairs.halves:
        kind = pairs.integers(half)
        needed, what = 10, ""
        if pairs.scales(half) > 1:
            needed, what = 13, "scales for channels"
        if pairs.kind(half.input[1]) == TensorProto.FLOAT16:
            needed, what = 19, "an FP16 scale"
        if kind in FP8:
            needed, what = 19, "FP8"
        if kind == INT4 or attribute(half, "block_size"):
            needed, what = 21, "INT4 or blocks"
        if kind == FP4:
            needed, what = 23, "FP4"
        if pairs.opset < needed:
            yield Fault(half.name, f"{what} at opset {pairs.opset}, needs {needed}")


CHECKS: Mapping[str, Callable[[Pairs], Iterator[Fault]]] = {
    "R1": _symmetric,
    "R2": _signed,
    "R3": _positive,
    "R4": _one_scale,
    "R5": _output_axis,
    "R6": _constant_root,
    "R7": _no_scalar,
    "R8": _same_count,
    "R9": _float_bias,
    "R10": _pairs_only,
    "R33": _scale_type,
    "R34": _not_mixed,
    "R35": _opset,
}
