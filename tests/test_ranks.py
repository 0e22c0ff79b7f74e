"""Exact rank tests against scipy's, and bounds against the tests that they belong to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, wilcoxon

from edgetl import ranks

distinct = st.lists(st.integers(-(10**6), 10**6), min_size=6, max_size=20, unique=True).map(
    lambda whole: [one + 0.1 + 1e-4 * place for place, one in enumerate(whole)]  # no ties, no zeros
)
misses = st.sampled_from([0.001, 0.01, 0.025, 0.2])


@given(distinct)
def test_signed_ranks_are_scipys(values: list[float]) -> None:
    expected = wilcoxon(values, alternative="greater", method="exact").pvalue
    assert ranks.signed_rank_p(values, 0.0) == pytest.approx(expected)


@given(distinct, distinct)
def test_rank_sums_are_scipys(values: list[float], others: list[float]) -> None:
    shifted = [one + 0.03 for one in others]
    expected = mannwhitneyu(values, shifted, alternative="greater", method="exact").pvalue
    assert ranks.rank_sum_p(values, shifted, 0.0) == pytest.approx(expected)


@given(distinct, misses, st.floats(-(10**6), 10**6))
def test_a_centre_is_below_the_bounds_where_its_test_refuses_it(
    values: list[float], miss: float, centre: float
) -> None:
    bounds = ranks.signed_rank_bounds(values, miss)
    if bounds is None:
        assert 2.0 ** -len(values) > miss
        return
    assert bounds[0] <= bounds[1]
    assert (bounds[0] > centre) == (ranks.signed_rank_p(values, centre) <= miss)
    mirrored = ranks.signed_rank_bounds([-one for one in values], miss)
    assert mirrored is not None
    assert bounds == pytest.approx((-mirrored[1], -mirrored[0]))


@given(distinct, distinct, misses)
def test_a_shift_is_below_the_bounds_where_its_test_refuses_it(
    values: list[float], others: list[float], miss: float
) -> None:
    bounds = ranks.rank_sum_bounds(values, others, miss)
    if bounds is not None:
        assert bounds[0] <= bounds[1]
        assert (bounds[0] > 0.0) == (ranks.rank_sum_p(values, others, 0.0) <= miss)


def test_too_few_values_have_no_bounds() -> None:
    assert ranks.signed_rank_bounds([1.0, 2.0, 3.0], 0.025) is None
    assert ranks.rank_sum_bounds([1.0, 2.0], [3.0, 4.0], 0.025) is None


@pytest.mark.parametrize("call", [lambda: ranks.walsh([]), lambda: ranks.rank_sum_p([], [1.0], 0.0)])
def test_no_values_at_all_are_an_error(call: object) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match="expected"):
        call()


def test_bounds_miss_as_seldom_as_they_say() -> None:
    """Of heavy tails, where the mean and its deviation would not."""
    rng = np.random.default_rng(0)
    bounds = [ranks.signed_rank_bounds(rng.standard_t(2, 12), 0.025) for _ in range(2000)]
    missed = sum(one is not None and not one[0] <= 0 <= one[1] for one in bounds)
    assert missed <= 2000 * 0.05 + 3 * (2000 * 0.05 * 0.95) ** 0.5
