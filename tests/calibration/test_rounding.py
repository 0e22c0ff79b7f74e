"""Rounding by what the layer answers: closer than rounding each weight to the nearest integer."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import pytest
from edgetl.calibration.affine import weight_scale
from edgetl.calibration.rounding import LEVELS, PAIR, nearest, round_weights
from hypothesis import given, settings

Floats = npt.NDArray[np.float64]


def problem(groups: int, outputs: int, inputs: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Weights, what the layer reads (correlated, as neighbouring pixels are), and scales."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(groups, outputs, inputs)) * rng.lognormal(size=(groups, outputs, 1))
    mixing = rng.normal(size=(groups, inputs, inputs)) + 3.0
    reads = np.maximum(rng.normal(size=(groups, 4 * inputs, inputs)) @ mixing, 0)
    return weights, reads, np.abs(weights).max(axis=2) / LEVELS


def loss(weights: Floats, integers: npt.NDArray[np.int8], scale: Floats, reads: Floats) -> float:
    error = weights - integers * scale[:, :, None]
    return float(np.square(reads @ error.swapaxes(1, 2)).sum())


@settings(max_examples=40, deadline=None)
@given(
    groups=st.integers(1, 4), outputs=st.integers(1, 6), inputs=st.integers(4, 90), seed=st.integers(0, 2**16)
)
def test_the_layer_answers_no_worse_than_with_the_nearest_integers(
    groups: int, outputs: int, inputs: int, seed: int
) -> None:
    weights, reads, scale = problem(groups, outputs, inputs, seed)
    found = round_weights(weights, reads.swapaxes(1, 2) @ reads, scale)
    assert found.dtype == np.int8
    assert np.abs(found.astype(int)).max() <= LEVELS
    plain = nearest(weights, scale[:, :, None])
    assert loss(weights, found, scale, reads) <= 1.000001 * loss(weights, plain, scale, reads)


def test_it_is_much_closer_where_inputs_are_alike() -> None:
    weights, reads, scale = problem(1, 16, 64, seed=1)
    found = round_weights(weights, reads.swapaxes(1, 2) @ reads, scale)
    assert loss(weights, found, scale, reads) < 0.2 * loss(
        weights, nearest(weights, scale[:, :, None]), scale, reads
    )


def test_independent_inputs_are_rounded_to_the_nearest() -> None:
    weights, _, scale = problem(2, 3, 70, seed=2)
    gram = np.stack([np.eye(70)] * 2)
    assert np.array_equal(round_weights(weights, gram, scale), nearest(weights, scale[:, :, None]))


def test_blocks_change_nothing() -> None:
    """The inputs fall into blocks of 64: the integers of the first do not depend on there being a second."""
    weights, reads, scale = problem(1, 4, 128, seed=3)
    gram = reads.swapaxes(1, 2) @ reads
    gram[:, :64, 64:] = gram[:, 64:, :64] = 0.0
    halves = [
        round_weights(weights[:, :, part], gram[:, part, part] + 0.0, scale)
        for part in (slice(0, 64), slice(64, 128))
    ]
    whole = round_weights(weights, gram, scale)
    differ = np.mean(whole != np.concatenate(halves, axis=2))
    assert differ < 0.05, "apart from the damping, which is the mean of the whole diagonal"


@pytest.mark.parametrize("taps", [1, 9])
def test_pairs_fit_16_bits_where_the_scale_lets_the_nearest_fit(taps: int) -> None:
    rng = np.random.default_rng(4)
    weights = rng.normal(size=(8, 10, taps)).astype(np.float32)
    scale = weight_scale(weights, 0, reduce_range=True).astype(np.float64)
    reads = np.maximum(rng.normal(size=(1, 400, 10 * taps)) + 1.0, 0)
    found = round_weights(
        weights.reshape(1, 8, -1).astype(np.float64),
        reads.swapaxes(1, 2) @ reads,
        scale[None],
        pair_step=taps,
    )
    by_channel = found.reshape(8, 10, taps).astype(int)
    even, odd = by_channel[:, 0::2], by_channel[:, 1::2]
    sums = np.where(even * odd > 0, np.abs(even + odd), 0)
    assert sums.max() <= PAIR


def test_an_input_that_is_always_zero_harms_nothing() -> None:
    weights, reads, scale = problem(1, 4, 20, seed=5)
    reads[:, :, 7] = 0.0
    found = round_weights(weights, reads.swapaxes(1, 2) @ reads, scale)
    assert np.abs(weights[:, :, 7] - found[:, :, 7] * scale).max() <= scale.max() / 2
    nothing = round_weights(weights, np.zeros((1, 20, 20)), scale)
    assert np.array_equal(nothing, nearest(weights, scale[:, :, None]))
