"""Errors of predicted values and what a candidate adds to them, against what they must be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import mean_absolute_error, r2_score

from edgetl.verify import values

few = settings(max_examples=15, deadline=None)
numbers = arrays.arrays(
    np.float64, st.integers(2, 30), elements=st.floats(-100, 100, allow_nan=False).map(lambda x: round(x, 3))
)


def noisy(seed: int, count: int = 60, noise: float = 1.0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(50, 10, count)
    return truth, truth + rng.normal(0, noise, count)


@few
@given(numbers, st.integers(0, 9))
def test_figures_are_scikit_learns_and_inside_their_intervals(truth: Any, seed: int) -> None:
    answers = truth + np.random.default_rng(seed).normal(0, 1, len(truth))
    found = values.measure(truth, answers)
    assert found.mae.value == pytest.approx(mean_absolute_error(truth, answers))
    assert found.mae.ci95[0] <= found.mae.value + 1e-9 and found.mae.value <= found.mae.ci95[1] + 1e-9
    if np.ptp(truth) > 0:
        assert found.r2 is not None and found.r2.value == pytest.approx(
            r2_score(truth, answers), rel=1e-6, abs=1e-6
        )
    else:
        assert found.r2 is None


@few
@given(st.floats(0.01, 100), st.floats(-1000, 1000), st.integers(0, 9))
def test_points_do_not_hang_on_the_unit(unit: float, shift: float, seed: int) -> None:
    truth, before = noisy(seed)
    after = before + np.random.default_rng(seed + 50).normal(0, 0.5, len(truth))
    first = values.paired(truth, before, after, 8.0)
    scaled = [unit * of + shift for of in (truth, before, after)]
    other = values.paired(scaled[0], scaled[1], scaled[2], 8.0 * unit)
    assert other.drop_pt == pytest.approx(first.drop_pt, abs=1e-6)
    assert other.drop_ci95_pt == pytest.approx(first.drop_ci95_pt, abs=1e-6)


@few
@given(st.integers(0, 50))
def test_an_engine_against_itself_loses_nothing(seed: int) -> None:
    truth, answers = noisy(seed)
    found = values.paired(truth, answers, answers, 8.0)
    assert (found.drop_pt, found.drop_ci95_pt, found.lost, found.gained) == (0, (0, 0), 0, 0)


def test_a_rise_of_the_error_is_a_drop_in_points_of_the_spread() -> None:
    truth = np.zeros(40)
    found = values.paired(truth, np.ones(40), np.full(40, 1.5), 10.0)
    assert (
        found.drop_pt == pytest.approx(5) and found.drop_ci95_pt == pytest.approx((5, 5)) and found.lost == 40
    )
    assert found.reference_accuracy == pytest.approx(0.9) and found.candidate_accuracy == pytest.approx(0.85)


def test_pairs_tell_what_two_separate_errors_could_not() -> None:
    truth, before = noisy(3, noise=5.0)
    after = before + 0.2 * np.sign(before - truth)
    found = values.paired(truth, before, after, 100.0)
    apart = values.measure(truth, before).mae.ci95
    assert found.drop_pt == pytest.approx(0.2, abs=1e-6)
    assert found.drop_ci95_pt[1] - found.drop_ci95_pt[0] < 0.01 < apart[1] - apart[0]


def test_intervals_hold_the_true_rise_about_as_often_as_they_say() -> None:
    held = 0
    expected = _expected_rise()
    for seed in range(100):
        rng = np.random.default_rng(seed)
        truth, before = np.zeros(50), rng.normal(0, 1, 50)
        after = before + np.sign(before) * rng.normal(0.3, 0.5, 50)
        low, high = values.paired(truth, before, np.where(before * after < 0, 0, after), 100.0).drop_ci95_pt
        held += low <= expected <= high
    assert 0.86 <= held / 100 <= 1


def _expected_rise() -> float:
    rng = np.random.default_rng(999)
    before = rng.normal(0, 1, 200_000)
    after = before + np.sign(before) * rng.normal(0.3, 0.5, 200_000)
    after = np.where(before * after < 0, 0, after)
    return float((np.abs(after) - np.abs(before)).mean())


def test_so_many_pictures_would_prove_it() -> None:
    truth, before = noisy(5, 80)
    after = before + np.random.default_rng(1).normal(0, 1, 80)
    found = values.paired(truth, before, after, 10.0)
    needed = values.pictures_needed(found, found.drop_pt + 0.5)
    assert needed is not None and needed > 80
    assert values.pictures_needed(found, found.drop_pt - 0.1) is None
