"""Which samples calibrate."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from edgetl.calibration.sampling import coverage, stratified
from hypothesis import given, settings
from hypothesis import strategies as st

label_lists = st.lists(st.integers(0, 5), min_size=1, max_size=80)


@given(label_lists, st.integers(1, 100), st.integers(0, 2**31))
def test_samples_are_distinct_and_as_many_as_there_can_be(labels: list[int], n: int, seed: int) -> None:
    drawn = stratified(np.array(labels), n, seed)
    assert len(drawn) == len(set(drawn.tolist())) == min(n, len(labels))
    assert set(drawn.tolist()) <= set(range(len(labels)))


@given(label_lists, st.integers(1, 100), st.integers(0, 2**31))
def test_a_class_has_less_than_another_only_if_it_ran_out(labels: list[int], n: int, seed: int) -> None:
    array = np.array(labels)
    taken = np.bincount(array[stratified(array, n, seed)], minlength=6)
    for label, size in enumerate(np.bincount(array, minlength=6)):
        assert taken[label] >= min(size, taken.max() - 1)


@given(label_lists, st.integers(1, 100), st.integers(0, 2**31))
def test_the_same_seed_draws_the_same_and_a_prefix_is_a_smaller_draw(
    labels: list[int], n: int, seed: int
) -> None:
    array = np.array(labels)
    drawn = stratified(array, n, seed)
    assert np.array_equal(drawn, stratified(array, n, seed))
    fewer = max(1, n // 2)
    assert np.array_equal(drawn[:fewer], stratified(array, fewer, seed))


def test_another_seed_draws_others() -> None:
    labels = np.zeros(1000, int)
    assert not np.array_equal(stratified(labels, 100, 0), stratified(labels, 100, 1))


@pytest.mark.parametrize(("labels", "n"), [([], 1), ([0, 1], 0)])
def test_nothing_to_draw_is_refused(labels: list[int], n: int) -> None:
    with pytest.raises(ValueError, match="cannot draw"):
        stratified(np.array(labels), n, 0)


def features_of(seed: int, samples: int, width: int = 3) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(samples, width)).astype(np.float32)


def radius(features: npt.NDArray[np.float32], centres: npt.NDArray[np.int64]) -> float:
    """The largest distance from a sample to its nearest centre."""
    apart = np.linalg.norm(features[:, None] - features[None, centres], axis=2)
    return float(apart.min(axis=1).max())


@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(1, 80))
def test_coverage_takes_distinct_samples_and_a_prefix_is_a_smaller_choice(
    seed: int, samples: int, n: int
) -> None:
    features = features_of(seed, samples)
    chosen = coverage(features, n)
    assert len(chosen) == len(set(chosen.tolist())) == min(n, samples)
    fewer = max(1, n // 2)
    assert np.array_equal(coverage(features, fewer), chosen[:fewer])


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(3, 9))
def test_no_choice_of_as_many_leaves_samples_less_than_half_as_far(seed: int, samples: int) -> None:
    features = features_of(seed, samples)
    best = min(radius(features, np.array(some)) for some in combinations(range(samples), 3))
    assert radius(features, coverage(features, 3)) <= 2 * best * (1 + 1e-5)


def test_coverage_takes_the_rare_kind_that_a_random_draw_misses() -> None:
    features = np.concatenate([features_of(0, 500), 40 + features_of(1, 2)])
    assert set(coverage(features, 6).tolist()) & {500, 501}


def test_copies_are_taken_last() -> None:
    features = np.repeat(features_of(0, 4), 5, axis=0)
    assert len({index // 5 for index in coverage(features, 4).tolist()}) == 4
    assert sorted(coverage(features, 20).tolist()) == list(range(20))


def test_coverage_of_what_is_no_feature_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot choose"):
        coverage(np.zeros((0, 3), np.float32), 1)
    with pytest.raises(ValueError, match="sample 2"):
        coverage(np.array([[0.0], [1.0], [np.inf]], np.float32), 1)
