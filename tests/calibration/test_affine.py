"""Scales and zero points of 8-bit integers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from edgetl.calibration.affine import Dtype, affine, limits, weight_scale
from hypothesis import given
from hypothesis import strategies as st

Array = npt.NDArray[np.float32]

ends = st.floats(-(2.0**40), 2.0**40, width=32)
kinds = st.sampled_from([("uint8", False), ("int8", False), ("int8", True)])


@given(ends, ends, kinds)
def test_a_value_inside_the_range_comes_back_within_half_a_step(
    a: float, b: float, kind: tuple[Dtype, bool]
) -> None:
    low, high = min(a, b), max(a, b)
    dtype, symmetric = kind
    scale, zero = affine(low, high, dtype, symmetric=symmetric)
    values = np.linspace(low, high, 101)
    integers = np.clip(np.rint(values / float(scale)) + zero, *limits(dtype, symmetric=symmetric))
    back = (integers - zero) * float(scale)
    assert np.all(np.abs(back - values) <= 0.5 * float(scale) * (1 + 1e-4))  # 1e-4: the scale is float32


@given(ends, ends, kinds)
def test_zero_is_one_of_the_integers(a: float, b: float, kind: tuple[Dtype, bool]) -> None:
    dtype, symmetric = kind
    scale, zero = affine(min(a, b), max(a, b), dtype, symmetric=symmetric)
    least, largest = limits(dtype, symmetric=symmetric)
    assert least <= zero <= largest
    assert scale > 0 and np.isfinite(scale)
    assert not symmetric or zero == 0


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_a_tensor_of_zeros_has_a_scale_that_divides(dtype: Dtype) -> None:
    scale, zero = affine(0.0, 0.0, dtype, symmetric=False)
    assert scale > 0
    assert np.isfinite(np.float32(1.0) / scale)
    assert zero == limits(dtype, symmetric=False)[0]


def test_a_range_that_does_not_reach_zero_is_extended_to_it() -> None:
    assert affine(10.0, 25.5, "uint8", symmetric=False) == affine(0.0, 25.5, "uint8", symmetric=False)
    assert affine(-25.5, -10.0, "uint8", symmetric=False)[1] == 255


@pytest.mark.parametrize(
    ("low", "high"), [(1.0, -1.0), (float("nan"), 1.0), (0.0, float("inf")), (float("-inf"), 0.0)]
)
def test_what_is_no_range_is_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="not a range"):
        affine(low, high, "uint8", symmetric=False)


def test_a_symmetric_uint8_range_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        affine(-1.0, 1.0, "uint8", symmetric=True)


def channels_of(seed: int, shape: tuple[int, ...], axis: int) -> tuple[Array, Array]:
    """Random weights whose channels differ in size, and the same as (O, I, rest)."""
    weights = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    weights *= np.float32(2.0) ** np.arange(shape[axis]).reshape([-1] + [1] * (len(shape) - 1 - axis))
    by_output = np.moveaxis(weights, axis, 0)
    return weights, by_output.reshape(by_output.shape[0], by_output.shape[1], -1)


SHAPES = st.sampled_from([(4, 3, 3, 3), (3, 4, 2, 2), (5, 7), (7, 5), (6, 1, 3, 3)])


@given(st.integers(0, 2**31), SHAPES, st.integers(0, 1))
def test_each_channel_of_weights_uses_its_integers_to_the_end(
    seed: int, shape: tuple[int, ...], axis: int
) -> None:
    weights, channels = channels_of(seed, shape, axis)
    scale = weight_scale(weights, axis)
    assert scale.shape == (shape[axis],)
    integers = np.rint(channels / scale[:, None, None])
    assert np.array_equal(np.abs(integers).max(axis=(1, 2)), np.full(shape[axis], 127))
    assert np.all(
        np.abs(integers * scale[:, None, None] - channels) <= 0.5 * scale[:, None, None] * (1 + 1e-4)
    )


@given(st.integers(0, 2**31), SHAPES, st.integers(0, 1))
def test_with_a_reduced_range_no_pair_of_products_leaves_16_bits(
    seed: int, shape: tuple[int, ...], axis: int
) -> None:
    weights, channels = channels_of(seed, shape, axis)
    scale = weight_scale(weights, axis, reduce_range=True)
    integers = np.rint(channels / scale[:, None, None]).astype(int)
    inputs = integers.shape[1]
    for first in range(0, inputs, 2):
        pair = integers[:, first : first + 2]
        assert 255 * np.maximum(pair, 0).sum(axis=1).max() < 2**15
        assert -255 * np.minimum(pair, 0).sum(axis=1).min() <= 2**15
    assert np.all(scale >= weight_scale(weights, axis))
    assert np.all(scale <= 2 * weight_scale(weights, axis) * (1 + 1e-6))


def test_depthwise_weights_keep_their_whole_range() -> None:
    weights, _ = channels_of(0, (6, 1, 3, 3), 0)
    assert np.array_equal(weight_scale(weights, 0, reduce_range=True), weight_scale(weights, 0))


def test_a_channel_of_zero_weights_stays_zero() -> None:
    weights = np.zeros((2, 3), np.float32)
    weights[1] = 1.0
    scale = weight_scale(weights, 0)
    assert np.all(scale > 0)
    assert np.array_equal(np.rint(weights / scale[:, None])[0], np.zeros(3))
