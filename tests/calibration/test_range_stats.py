"""Statistics that are streamed: what they count must not depend on how the values arrived."""

from __future__ import annotations

import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest
from edgetl.calibration.range_stats import HALF, RangeStats
from hypothesis import given
from hypothesis import strategies as st

from edgetl.errors import InputError

FloatArray = npt.NDArray[np.float32]


@st.composite
def batches(draw: st.DrawFn) -> FloatArray:
    """(N, C, H, W) whose samples have magnitudes far apart, so that bins are merged on the way."""
    shape = tuple(draw(st.integers(1, most)) for most in (8, 4, 3, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    values = rng.normal(size=shape).astype(np.float32)
    if draw(st.booleans()):
        values = np.abs(values)
    powers = np.array([draw(st.integers(-20, 20)) for _ in range(shape[0])]).reshape(-1, 1, 1, 1)
    scaled: FloatArray = np.ldexp(values, powers)
    return scaled


def stats_of(*arrays: FloatArray, histogram: bool = True) -> RangeStats:
    stats = RangeStats(histogram=histogram)
    for array in arrays:
        stats.update(array)
    return stats


def assert_same(one: RangeStats, other: RangeStats) -> None:
    left, right = one.to_arrays(), other.to_arrays()
    assert left.keys() == right.keys()
    for name in left.keys() - {"facts"}:
        assert np.array_equal(left[name], right[name]), name
    assert np.array_equal(left["facts"][:2], right["facts"][:2])
    assert np.allclose(
        left["facts"][2:], right["facts"][2:], rtol=1e-12, atol=1e-12 * abs(one.high - one.low)
    )


@given(batches(), st.integers(0, 2**31))
def test_order_and_split_do_not_matter(array: FloatArray, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(array))
    one_by_one = stats_of(*(array[i : i + 1] for i in order))
    assert_same(stats_of(array), one_by_one)


@given(batches(), st.data())
def test_merging_is_as_if_the_arrays_had_come_one_after_the_other(
    array: FloatArray, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(array)))
    merged = stats_of(array[:cut]) if cut else RangeStats()
    merged.merge(stats_of(array[cut:]) if cut < len(array) else RangeStats())
    assert_same(merged, stats_of(array))


@given(batches())
def test_every_value_lies_in_the_bin_that_counts_it(array: FloatArray) -> None:
    stats = stats_of(array)
    assert stats.bins is not None
    places = np.floor(array.astype(np.float64) / stats.width).astype(int) + HALF
    assert np.array_equal(stats.bins, np.bincount(places.ravel(), minlength=2 * HALF))
    assert stats.bins.sum() == stats.count == array.size


@given(batches())
def test_extremes_means_and_channels_are_those_of_numpy(array: FloatArray) -> None:
    for stats in (stats_of(array), stats_of(array, histogram=False)):
        assert (stats.low, stats.high) == (array.min(), array.max())
        assert stats.samples == len(array)
        rows = array.reshape(len(array), -1).astype(np.float64)
        assert np.allclose(
            stats.mean_extremes, (rows.min(axis=1).mean(), rows.max(axis=1).mean()), rtol=1e-12
        )
        assert stats.channel_absmax is not None
        assert np.array_equal(stats.channel_absmax, np.abs(array).max(axis=(0, 2, 3)))


@given(batches())
def test_what_was_written_reads_the_same(array: FloatArray) -> None:
    stats = stats_of(array)
    assert_same(RangeStats.from_arrays(stats.to_arrays()), stats)


@pytest.mark.parametrize(
    ("shape", "channels"), [((), 1), ((5,), 1), ((2, 5), 5), ((2, 7, 5), 5), ((2, 5, 3, 3), 5)]
)
def test_channels_are_the_second_axis_and_of_tokens_the_last(shape: tuple[int, ...], channels: int) -> None:
    stats = stats_of(np.ones(shape, np.float32))
    assert stats.channel_absmax is not None
    assert stats.channel_absmax.shape == (channels,)
    assert stats.samples == (shape[0] if len(shape) > 1 else 1)


def test_tokens_keep_the_largest_of_each_channel() -> None:
    tokens = np.zeros((1, 4, 3), np.float32)
    tokens[0, 2] = [1, -2, 3]
    found = stats_of(tokens).channel_absmax
    assert found is not None
    assert found.tolist() == [1, 2, 3]


@pytest.mark.parametrize("value", [0.0, 1.0, -3.5, 2.0**-30, 2.0**40])
def test_a_constant_tensor_has_one_bin(value: float) -> None:
    stats = stats_of(np.full((3, 2, 4, 4), value, np.float32))
    assert stats.bins is not None
    assert np.count_nonzero(stats.bins) == 1
    assert (stats.low, stats.high) == (value, value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("histogram", [True, False])
def test_nan_and_infinity_are_refused_with_the_number_of_the_sample(bad: float, histogram: bool) -> None:
    stats = stats_of(np.ones((4, 2, 3, 3), np.float32), histogram=histogram)
    array = np.ones((3, 2, 3, 3), np.float32)
    array[1, 1, 2, 0] = bad
    with pytest.raises(InputError, match="sample 5") as caught:
        stats.update(array)
    assert caught.value.facts["sample"] == 5
    assert_same(stats, stats_of(np.ones((4, 2, 3, 3), np.float32), histogram=histogram))


def test_another_number_of_channels_is_refused_and_changes_nothing() -> None:
    stats = stats_of(np.ones((1, 2, 3, 3), np.float32))
    with pytest.raises(ValueError, match="3 channels after 2"):
        stats.update(np.full((1, 3, 3, 3), 7, np.float32))
    assert_same(stats, stats_of(np.ones((1, 2, 3, 3), np.float32)))


def test_a_histogram_and_extremes_alone_do_not_merge() -> None:
    with pytest.raises(ValueError, match="histogram"):
        RangeStats().merge(RangeStats(histogram=False))


def test_memory_does_not_grow_with_the_samples() -> None:
    rng = np.random.default_rng(0)
    stats = RangeStats()

    def see(times: int) -> int:
        for _ in range(times):
            stats.update(rng.normal(size=(1, 8, 32, 32)).astype(np.float32) * stats.samples)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        few, many = see(10), see(200)
    finally:
        tracemalloc.stop()
    assert many - few < 4096


def test_arrays_of_another_schema_or_with_parts_missing_are_refused() -> None:
    whole = stats_of(np.ones((1, 2), np.float32)).to_arrays()
    with pytest.raises(InputError, match="schema 99"):
        RangeStats.from_arrays({**whole, "schema": np.array(99)})
    with pytest.raises(InputError, match="damaged"):
        RangeStats.from_arrays({name: value for name, value in whole.items() if name != "counts"})
    with pytest.raises(InputError, match="damaged"):
        RangeStats.from_arrays({**whole, "bins": np.ones(3 * HALF, np.int64)})
