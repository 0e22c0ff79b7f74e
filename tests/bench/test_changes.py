"""E-divisive means: a step is found where it is, and noise is not taken for one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl.bench.changes import LEAST, _best_cut, change_points


def noisy(levels: list[float], each: int, spread: float, seed: int) -> list[float]:
    """Some results at each level, one level after another."""
    rng = np.random.default_rng(seed)
    return [float(level * rng.lognormal(0, spread)) for level in levels for _ in range(each)]


def test_steps_up_and_down_are_found_where_they_are() -> None:
    assert change_points(noisy([1.0, 1.2, 1.0], 12, 0.01, 3)) == [12, 24]


def test_a_step_of_five_percent_is_found_within_a_build_or_two() -> None:
    found = [change_points(noisy([1.0, 1.05], 10, 0.012, seed)) for seed in range(20)]
    near = [cuts for cuts in found if cuts and abs(cuts[0] - 10) <= 2]
    assert len(near) >= 18


def test_noise_alone_is_seldom_taken_for_a_change() -> None:
    alarms = sum(bool(change_points(noisy([1.0], 16, 0.02, seed))) for seed in range(60))
    assert alarms <= 5  # level 0.02: six or more of 60 have a chance below one in 500


def test_one_wild_result_is_no_change() -> None:
    values = noisy([1.0], 20, 0.01, 5)
    values[9] = 3.0
    assert change_points(values) == []


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 3.0], [2.0] * 30])
def test_too_few_or_equal_results_have_no_change(values: list[float]) -> None:
    assert change_points(values) == []


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        change_points([1.0, float("nan"), 1.0, 1.0])


def test_the_same_series_has_the_same_answer_in_any_unit() -> None:
    values = noisy([1.0, 1.1], 8, 0.02, 1)
    assert change_points(values) == change_points([1e6 * value for value in values])


@settings(deadline=None, max_examples=10)
@given(st.integers(5, 15), st.integers(0, 2**32 - 1), st.sampled_from([0.8, 1.25]))
def test_a_step_is_found_wherever_it_is(at: int, seed: int, ratio: float) -> None:
    noise = np.random.default_rng(seed).lognormal(0, 0.01, 20)
    assert at in change_points([float(noise[k] * (ratio if k >= at else 1.0)) for k in range(20)])


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(0.1, 10), max_size=14))
def test_parts_are_in_order_and_none_is_shorter_than_the_statistic_takes(values: list[float]) -> None:
    cuts = [0, *change_points(values), len(values)]
    if len(cuts) > 2:
        assert all(end - first >= LEAST for first, end in itertools.pairwise(cuts))


def by_definition(part: list[float]) -> float:
    """The largest scaled energy distance of equation 6 of the paper, written out."""
    best = 0.0
    for cut, end in itertools.product(range(LEAST, len(part)), range(LEAST, len(part) + 1)):
        x, y = part[:cut], part[cut:end]
        m, n = len(x), len(y)
        if n < LEAST:
            continue
        between = 2 / (m * n) * sum(abs(a - b) for a in x for b in y)
        inside = [
            2 / (k * (k - 1)) * sum(abs(a - b) for a, b in itertools.combinations(z, 2))
            for k, z in ((m, x), (n, y))
        ]
        best = max(best, m * n / (m + n) * (between - sum(inside)))
    return best


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0.1, 10), min_size=4, max_size=9))
def test_the_statistic_is_that_of_the_paper(values: list[float]) -> None:
    found, _ = _best_cut(np.array(values))
    assert found == pytest.approx(by_definition(values), abs=1e-9)
