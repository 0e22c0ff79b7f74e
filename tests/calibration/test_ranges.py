"""Ranges from statistics: inside what was seen, and best by their own measure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from edgetl.calibration import ranges
from edgetl.calibration.affine import affine
from edgetl.calibration.range_stats import HALF, RangeStats
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl.errors import InputError

FloatArray = npt.NDArray[np.float32]
every_method = pytest.mark.parametrize("method", sorted(ranges.METHODS))


@st.composite
def tensors(draw: st.DrawFn) -> FloatArray:
    """(N, 1, 200): normal, after a ReLU, with outliers, below zero, or constant; any scale."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    values = rng.normal(size=(draw(st.integers(1, 4)), 1, 200)).astype(np.float32)
    shape = draw(st.sampled_from(["normal", "relu", "outlier", "below", "constant", "zero"]))
    if shape == "relu":
        values = np.maximum(values, 0)
    elif shape == "outlier":
        values[0, 0, 0] = 100.0
    elif shape == "below":
        values = -np.abs(values) - 1
    elif shape in ("constant", "zero"):
        values[...] = 3.0 if shape == "constant" else 0.0
    return np.ldexp(values, draw(st.integers(-20, 20)))


def stats_of(values: FloatArray) -> RangeStats:
    stats = RangeStats()
    for sample in values:
        stats.update(sample[None])
    return stats


@every_method
@settings(max_examples=40)
@given(tensors(), st.booleans())
def test_a_range_holds_zero_and_lies_inside_what_was_seen(
    method: str, values: FloatArray, symmetric: bool
) -> None:
    stats = stats_of(values)
    low, high = ranges.find(method)(stats, symmetric=symmetric)
    seen_low, seen_high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    if symmetric and seen_low < 0:
        seen_high = max(-seen_low, seen_high)
        seen_low = -seen_high
    slack = 1e-6 * (seen_high - seen_low)
    assert seen_low - slack <= low <= 0.0 <= high <= seen_high + slack
    assert type(low) is type(high) is float


@every_method
def test_zero_alone_gives_an_empty_range(method: str) -> None:
    assert ranges.find(method)(stats_of(np.zeros((2, 1, 5), np.float32))) == (0.0, 0.0)


@given(tensors())
def test_minmax_is_what_was_seen(values: FloatArray) -> None:
    assert ranges.minmax(stats_of(values)) == (min(values.min(), 0.0), max(values.max(), 0.0))


def test_average_is_not_set_by_what_is_extreme_in_one_sample() -> None:
    values = np.ones((10, 1, 4), np.float32)
    values[3, 0, 0] = 101.0
    assert ranges.average(stats_of(values)) == (0.0, 11.0)


@given(tensors(), st.floats(60.0, 99.99))
def test_percentile_is_numpys_within_a_bin(values: FloatArray, percent: float) -> None:
    stats = stats_of(values)
    low, high = ranges.percentile(stats, percent=percent)
    tail = (100.0 - percent) / 2.0
    # numpy interpolates between two values: the range ends within a bin of one of them or between them
    lower = [np.percentile(values, tail, method=how) for how in ("lower", "higher")]
    upper = [np.percentile(values, 100.0 - tail, method=how) for how in ("lower", "higher")]
    assert min(lower[0] - stats.width, 0.0) <= low <= min(lower[1] + stats.width, 0.0)
    assert max(upper[0] - stats.width, 0.0) <= high <= max(upper[1] + stats.width, 0.0)


@settings(max_examples=60)
@given(tensors(), st.booleans())
def test_mse_has_no_more_error_than_the_extremes(values: FloatArray, symmetric: bool) -> None:
    stats = stats_of(values)
    found = ranges.mse(stats, symmetric=symmetric)
    widest = ranges.minmax(stats)
    assert _error(stats, found, symmetric) <= _error(stats, widest, symmetric) * (1 + 1e-4)


def _error(stats: RangeStats, span: tuple[float, float], symmetric: bool) -> float:
    """Squared error of the histogram after 8 bits, by the affine rule that will be used."""
    assert stats.bins is not None
    centres = np.clip((np.arange(-HALF, HALF) + 0.5) * stats.width, stats.low, stats.high)
    scale, zero = affine(*span, "int8", symmetric=symmetric)
    least = -127 if symmetric else -128
    back = (np.clip(np.rint(centres / float(scale)) + zero, least, 127) - zero) * float(scale)
    return float(stats.bins @ (back - centres) ** 2)


@pytest.mark.parametrize("search", [ranges.mse, ranges.entropy, ranges.percentile])
def test_one_far_value_among_very_many_is_given_up(search: Callable[..., tuple[float, float]]) -> None:
    values = np.abs(np.random.default_rng(0).normal(size=(250, 1, 4000))).astype(np.float32)
    values[0, 0, 0] = 20.0
    low, high = search(stats_of(values))
    assert low == 0.0
    assert 2.0 < high < 15.0


def test_the_default_is_one_of_the_methods_and_unknown_ones_are_refused_with_the_nearest() -> None:
    assert ranges.find("default") is ranges.METHODS[ranges.DEFAULT]
    with pytest.raises(InputError, match="entropy"):
        ranges.find("entropi")


def test_extremes_alone_serve_only_the_methods_that_say_so() -> None:
    stats = RangeStats(histogram=False)
    stats.update(np.array([[-1.0, 2.0]], np.float32))
    for method in ranges.METHODS:
        if ranges.needs_histogram(method):
            with pytest.raises(InputError, match="extremes alone"):
                ranges.find(method)(stats)
        else:
            assert ranges.find(method)(stats) == (-1.0, 2.0)


@every_method
def test_no_sample_gives_no_range(method: str) -> None:
    with pytest.raises(InputError, match="no sample"):
        ranges.find(method)(RangeStats())


def test_the_spike_of_a_relu_at_zero_does_not_narrow_the_range_of_entropy() -> None:
    rng = np.random.default_rng(0)
    values = np.clip(rng.normal(0, 2, (8, 16, 400)), 0, 6).astype(np.float32)
    _, high = ranges.entropy(stats_of(values))
    assert high > 4.5
