"""Which samples calibrate."""

from __future__ import annotations

import numpy as np
import pytest
from edgetl.calibration.sampling import stratified
from hypothesis import given
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
