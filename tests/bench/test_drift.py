"""Dependence and trend: found where they were put in, and not where they were not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as reference

from edgetl.bench import drift


def walk(n: int, carried: float, seed: int) -> np.ndarray:
    """Noise of which each value keeps a share of the one before."""
    noise = np.random.default_rng(seed).standard_normal(n)
    values = np.zeros(n)
    for k in range(1, n):
        values[k] = carried * values[k - 1] + noise[k]
    return values


def test_independent_runs_are_worth_about_their_number() -> None:
    worth = [drift.effective_size(np.random.default_rng(seed).exponential(size=500)) for seed in range(30)]
    assert 350 < np.median(worth) <= 500


@pytest.mark.parametrize("carried", [0.5, 0.9])
def test_dependent_runs_are_worth_what_theory_says(carried: float) -> None:
    worth = np.median([drift.effective_size(walk(4000, carried, seed)) for seed in range(20)])
    expected = 4000 * (1 - carried) / (1 + carried)  # of an autoregression of order one
    assert 0.7 * expected < worth < 1.4 * expected


def test_one_wild_run_changes_nothing() -> None:
    values = walk(2000, 0.9, 1)
    wild = values.copy()
    wild[700] = 1e9
    assert drift.effective_size(wild) == pytest.approx(drift.effective_size(values), rel=0.05)


def test_the_trend_test_is_kendalls() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = rng.integers(0, 12, 30).astype(float)
        expected = reference.kendalltau(np.arange(30), values, method="asymptotic").pvalue
        assert drift.kendall_p(values) == pytest.approx(expected, abs=0.02)  # the continuity correction


def test_a_trend_is_told_from_none_as_often_as_the_level_says() -> None:
    rng = np.random.default_rng(3)
    none = [drift.kendall_p(rng.exponential(size=20)) < 0.05 for _ in range(600)]
    some = [drift.kendall_p(rng.normal(size=20) + 0.2 * np.arange(20)) < 0.05 for _ in range(100)]
    assert np.mean(none) < 0.07
    assert np.mean(some) > 0.8


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0, 2.0, 2.0, 2.0]])
def test_too_few_or_equal_values_show_no_trend(values: list[float]) -> None:
    assert drift.kendall_p(values) == 1.0
    assert drift.effective_size(values) == len(values)


def test_blocks_are_in_order_and_none_is_left_out() -> None:
    assert drift.block_medians([1.0, 1.0, 2.0, 2.0, 3.0], 3).tolist() == [1.0, 2.0, 3.0]
    assert drift.block_medians([1.0, 2.0], 9).tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="two values"):
        drift.sen_slope([1.0])
