"""Graphs that keep every rule of the linter but one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto, helper

from tests.quantize.qdq import WIDTH, Net

Case = Callable[[Net], str]


def good(n: Net) -> str:
    """A residual block behind a pool and before a classifier, as the rules want it."""
    x = n.pair("x")
    skip = n.pair(n.node("Relu", n.norm(n.conv(x))))
    inner = n.pair(n.node("Relu", n.conv(skip)))
    added = n.pair(n.node("Relu", n.node("Add", n.conv(inner), skip)))
    pooled = n.node("MaxPool", added, kernel_shape=[2, 2], strides=[2, 2])
    both = n.pair(n.node("Concat", pooled, pooled, axis=1))
    mean = n.pair(n.node("GlobalAveragePool", both))
    flat = n.node("Flatten", mean)
    return n.node("Gemm", flat, n.weights(5, 2 * WIDTH), n.const(np.zeros(5)), transB=1)


def asymmetric(n: Net) -> str:
    return n.conv(n.pair("x", zero=3))


def unsigned(n: Net) -> str:
    return n.conv(n.pair("x", dtype=np.uint8))


def unsigned_by_default(n: Net) -> str:
    scale = n.const(0.1)
    return n.conv(n.node("DequantizeLinear", n.node("QuantizeLinear", "x", scale), scale))


def zero_scale(n: Net) -> str:
    return n.conv(n.pair("x", scale=0.0))


def nan_scale(n: Net) -> str:
    return n.conv(n.pair("x", scale=np.nan))


def computed_scale(n: Net) -> str:
    n.inputs.append(helper.make_tensor_value_info("s", TensorProto.FLOAT, ()))
    zero = n.const(0, np.int8)
    return n.conv(n.node("DequantizeLinear", n.node("QuantizeLinear", "x", "s", zero), "s", zero))


def channels_of_an_activation(n: Net) -> str:
    scales, zeros = n.const(np.full(WIDTH, 0.1)), n.const(np.zeros(WIDTH), np.int8)
    integers = n.node("QuantizeLinear", "x", scales, zeros, axis=1)
    return n.conv(n.node("DequantizeLinear", integers, n.const(0.1), n.const(0, np.int8)))


def channels_of_integers(n: Net) -> str:
    scales, zeros = n.const(np.full(WIDTH, 0.1)), n.const(np.zeros(WIDTH), np.int8)
    integers = n.node("QuantizeLinear", "x", n.const(0.1), n.const(0, np.int8))
    return n.conv(n.node("DequantizeLinear", integers, scales, zeros, axis=1))


def input_axis(n: Net) -> str:
    return n.node("Conv", n.pair("x"), n.weights(WIDTH, WIDTH, 1, 1, axis=1))


def no_axis(n: Net) -> str:
    return n.node("Conv", n.pair("x"), n.weights(WIDTH, WIDTH, 1, 1, axis=None, count=WIDTH))


def too_few_scales(n: Net) -> str:
    return n.node("Conv", n.pair("x"), n.weights(WIDTH, WIDTH, 1, 1, axis=0, count=3))


def transposed_axis(n: Net) -> str:
    """Weights (out, in) that a Transpose turns for a MatMul: their output channels are on axis 0, not 1."""
    turned = n.node("Transpose", n.weights(32, WIDTH, axis=1), perm=[1, 0])
    rows = n.node("Reshape", n.pair("x"), n.const([-1, WIDTH], np.int64))
    return n.node("MatMul", rows, turned)


def grouped_transposed(n: Net) -> str:
    return n.node("ConvTranspose", n.pair("x"), n.weights(WIDTH, 4, 1, 1, axis=1), group=4)


def scalar_input(n: Net) -> str:
    n.inputs.append(helper.make_tensor_value_info("s", TensorProto.FLOAT, ()))
    return n.node("Mul", n.conv(n.pair("x")), n.pair("s"))


def two_zero_points(n: Net) -> str:
    return n.conv(n.pair("x", zero=[0, 0]))


def int32_bias(n: Net) -> str:
    scales = n.const(np.full(WIDTH, 0.001))
    bias = n.node("DequantizeLinear", n.const(np.ones(WIDTH), np.int32), scales, axis=0)
    return n.conv(n.pair("x"), bias)


def int8_bias(n: Net) -> str:
    return n.conv(n.pair("x"), n.weights(WIDTH, axis=None))


def operator_format(n: Net) -> str:
    scale, zero = n.const(0.1), n.const(0, np.int8)
    integers = n.node("QuantizeLinear", "x", scale, zero)
    weights = n.const(np.ones((WIDTH, WIDTH, 1, 1)), np.int8)
    product = n.node("QLinearConv", integers, scale, zero, weights, scale, zero, scale, zero)
    return n.node("DequantizeLinear", product, scale, zero)


def bare_weights(n: Net) -> str:
    return n.node("Conv", n.pair("x"), n.const(np.ones((WIDTH, WIDTH, 1, 1))))


def bare_activation(n: Net) -> str:
    return n.conv("x")


def output_pair(n: Net) -> str:
    return n.node("HardSwish", n.pair(n.conv(n.pair("x"))))


def pair_at_the_end(n: Net) -> str:
    return n.pair(n.norm(n.conv(n.pair("x"))))


def pair_before_relu(n: Net) -> str:
    return n.node("Relu", n.pair(n.conv(n.pair("x"))))


def pair_before_norm(n: Net) -> str:
    return n.norm(n.pair(n.conv(n.pair("x"))))


def residual(pairs: str) -> Case:
    """A residual block with a pair on the ``skip``, on ``both`` inputs of its Add, on the ``branch`` or on ``none``."""

    def made(n: Net) -> str:
        skip = n.node("Relu", n.conv(n.pair("x")))
        branch = n.conv(n.pair(n.node("Relu", n.conv(n.pair(skip)))))
        left = n.pair(branch) if pairs in ("both", "branch") else branch
        right = n.pair(skip) if pairs in ("both", "skip") else skip
        return n.conv(n.pair(n.node("Add", left, right)))

    return made


def pairs_around_a_reshape(n: Net) -> str:
    x = n.node("Transpose", n.pair("x"), perm=[0, 1, 3, 2])
    return n.conv(n.pair(x))


def pool_without_a_pair_behind(n: Net) -> str:
    return n.node("GlobalAveragePool", n.pair(n.node("Relu", n.conv(n.pair("x")))))


def pool_without_a_pair_before(n: Net) -> str:
    return n.conv(n.pair(n.node("GlobalAveragePool", n.node("Relu", n.conv(n.pair("x"))))))


def pooled_skip(n: Net) -> str:
    """The pre-activation block: its skip connection is a MaxPool of what the branch reads."""
    source = n.node("Relu", n.conv(n.pair("x")))
    skip = n.node("MaxPool", source, kernel_shape=[1, 1])
    return n.node("Add", n.conv(n.pair(source)), skip)


def unequal_concat(n: Net) -> str:
    parts = [n.pair(n.node("Relu", n.conv(n.pair("x"))), scale=scale) for scale in (0.1, 0.2)]
    joined = n.pair(n.node("Concat", *parts, axis=1), scale=0.2)
    return n.node("Conv", joined, n.weights(WIDTH, 2 * WIDTH, 1, 1))


def concat_with_another_scale_behind(n: Net) -> str:
    parts = [n.pair(n.node("Relu", n.conv(n.pair("x")))) for _ in range(2)]
    joined = n.pair(n.node("Concat", *parts, axis=1), scale=0.3)
    return n.node("Conv", joined, n.weights(WIDTH, 2 * WIDTH, 1, 1))


def half_a_concat(n: Net) -> str:
    parts = [n.node("Relu", n.conv(n.pair("x"))) for _ in range(2)]
    joined = n.pair(n.node("Concat", n.pair(parts[0]), parts[1], axis=1))
    return n.node("Conv", joined, n.weights(WIDTH, 2 * WIDTH, 1, 1))


def two_scales_of_one_tensor(n: Net) -> str:
    first, second = n.conv(n.pair("x", scale=0.1)), n.conv(n.pair("x", scale=0.2))
    return n.node("Sub", first, second)


def thin_matmul(n: Net) -> str:
    row = n.node("Flatten", n.pair("x"))
    return n.node("MatMul", row, n.weights(WIDTH * 64, 32, axis=1))


def quantized_softmax(n: Net) -> str:
    return n.node("Softmax", n.pair(n.node("Relu", n.conv(n.pair("x")))))


def smooth_resize(n: Net) -> str:
    source = n.pair(n.node("Relu", n.conv(n.pair("x"))))
    return n.node("Resize", source, "", n.const([1, 1, 2, 2]), mode="linear")


def layer_norm_without_a_pair(n: Net) -> str:
    moved = n.node("Transpose", n.conv(n.pair("x")), perm=[0, 2, 3, 1])
    return n.node("LayerNormalization", moved, n.const(np.ones(WIDTH)))


def pair_inside_silu(n: Net) -> str:
    product = n.pair(n.conv(n.pair("x")))
    return n.node("Mul", product, n.node("Sigmoid", product))


def identity_before_norm(n: Net) -> str:
    product = n.node("ConvTranspose", n.pair("x"), n.weights(WIDTH, WIDTH, 1, 1, axis=1))
    return n.norm(n.node("Identity", product))


def half_precision_data(n: Net) -> str:
    data, zero = n.node("Cast", "x", to=TensorProto.FLOAT16), n.const(0, np.int8)
    integers = n.node("QuantizeLinear", data, n.const(0.1), zero)
    back = n.node("DequantizeLinear", integers, n.const(0.1, np.float16), zero)
    return n.node("Cast", n.conv(back, dtype=np.float16), to=TensorProto.FLOAT)


def half_pair(n: Net, name: str) -> str:
    """A pair with an FP16 scale, on a float32 tensor."""
    data, scale, zero = (
        n.node("Cast", name, to=TensorProto.FLOAT16),
        n.const(0.1, np.float16),
        n.const(0, np.int8),
    )
    return n.node("DequantizeLinear", n.node("QuantizeLinear", data, scale, zero), scale, zero)


def half_precision(n: Net) -> str:
    """FP16 throughout, but for Softmax and the ends."""
    product = n.conv(half_pair(n, "x"), dtype=np.float16)
    return n.node("Softmax", n.node("Cast", product, to=TensorProto.FLOAT), axis=1)


def two_types(n: Net) -> str:
    product = n.conv(half_pair(n, "x"), n.const(np.zeros(WIDTH)), dtype=np.float16)
    return n.node("Cast", product, to=TensorProto.FLOAT)


def moved_pixels(n: Net) -> str:
    n.inputs.append(helper.make_tensor_value_info("p", TensorProto.UINT8, (1, 8, 8, WIDTH)))
    planes = n.node("Transpose", "p", perm=[0, 3, 1, 2])
    return n.conv(n.pair(n.node("Cast", planes, to=TensorProto.FLOAT)))


def float_island(n: Net) -> str:
    product = n.conv(half_pair(n, "x"), dtype=np.float16)
    island = n.node("Sigmoid", n.node("Cast", product, to=TensorProto.FLOAT))
    return n.node("Cast", n.conv(half_pair(n, island), dtype=np.float16), to=TensorProto.FLOAT)


def float_layer(n: Net) -> str:
    product = n.conv(half_pair(n, "x"), dtype=np.float16)
    return n.conv(n.pair(n.node("Cast", product, to=TensorProto.FLOAT)))


def infinite_constant(n: Net) -> str:
    product = n.conv(half_pair(n, "x"), dtype=np.float16)
    scaled = n.node("Mul", product, n.const(np.inf, np.float16))
    return n.node("Cast", scaled, to=TensorProto.FLOAT)


def eight_bit_floats(n: Net) -> str:
    scale = n.const(0.1)
    zero = helper.make_tensor("fp8_zero", TensorProto.FLOAT8E4M3FN, [], [0.0])
    n.constants.append(zero)
    other = n.node("DequantizeLinear", n.node("QuantizeLinear", "x", scale, "fp8_zero"), scale, "fp8_zero")
    return n.node("Sub", n.conv(n.pair("x")), other)


def blocks(n: Net) -> str:
    scales = n.const(np.full((WIDTH, 2, 1, 1), 0.1))
    weights = n.const(np.ones((WIDTH, WIDTH, 1, 1)), np.int8)
    return n.node("Conv", n.pair("x"), n.node("DequantizeLinear", weights, scales, axis=1, block_size=8))


def openvino_signed_offset(n: Net) -> str:
    return n.conv(n.pair("x", zero=3))


def openvino_inlined_hardswish(n: Net) -> str:
    product = n.conv(n.pair("x", zero=128, dtype=np.uint8))
    return n.node("Mul", product, n.node("HardSigmoid", product, alpha=1 / 6, beta=0.5))


def openvino_clip_left(n: Net) -> str:
    product = n.node("Clip", n.conv(n.pair("x", zero=128, dtype=np.uint8)), n.const(0), n.const(6))
    return n.conv(n.pair(product, scale=6 / 255, dtype=np.uint8))


def openvino_quantized_pixels(n: Net) -> str:
    scaled = n.node("Mul", n.pair("x", dtype=np.uint8), n.const(1 / 255))
    return n.conv(n.pair(scaled, dtype=np.uint8))


BROKEN: list[tuple[str, Case]] = [
    ("R1", asymmetric),
    ("R2", unsigned),
    ("R2", unsigned_by_default),
    ("R3", zero_scale),
    ("R3", nan_scale),
    ("R3", computed_scale),
    ("R4", channels_of_an_activation),
    ("R5", input_axis),
    ("R5", no_axis),
    ("R5", too_few_scales),
    ("R5", transposed_axis),
    ("R5", grouped_transposed),
    ("R6", channels_of_integers),
    ("R7", scalar_input),
    ("R8", two_zero_points),
    ("R9", int32_bias),
    ("R9", int8_bias),
    ("R10", operator_format),
    ("R13", bare_weights),
    ("R13", bare_activation),
    ("R14", output_pair),
    ("R14", pair_at_the_end),
    ("R15", pair_before_relu),
    ("R15", pair_before_norm),
    ("R16", residual("both")),
    ("R16", residual("branch")),
    ("R16", residual("none")),
    ("R17", pairs_around_a_reshape),
    ("R18", pool_without_a_pair_behind),
    ("R18", pool_without_a_pair_before),
    ("R19", pooled_skip),
    ("R20", unequal_concat),
    ("R20", concat_with_another_scale_behind),
    ("R20", half_a_concat),
    ("R21", two_scales_of_one_tensor),
    ("R24", thin_matmul),
    ("R25", quantized_softmax),
    ("R25", smooth_resize),
    ("R26", layer_norm_without_a_pair),
    ("R27", pair_inside_silu),
    ("R28", identity_before_norm),
    ("R33", half_precision_data),
    ("R34", eight_bit_floats),
    ("T1", two_types),
    ("T2", float_island),
    ("T2", float_layer),
    ("T3", infinite_constant),
    ("T4", moved_pixels),
]
