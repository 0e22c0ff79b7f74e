"""The three answers of ``--max-drop``, in words that hold their figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl import stats
from edgetl.devices import Budgets
from edgetl.types import LatencyBudget
from edgetl.verify import budget
from edgetl.verify.accuracy import PairedResult, paired


def result(n: int, lost: int, gained: int) -> PairedResult:
    """Two engines of which one loses and gains so many of ``n`` images."""
    labels = np.zeros(n, np.int64)
    right, wrong = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    reference, candidate = np.tile(right, (n, 1)), np.tile(right, (n, 1))
    candidate[:lost] = wrong
    reference[lost : lost + gained] = wrong
    return paired(labels, reference, candidate)


@pytest.mark.parametrize(
    ("n", "lost", "gained", "limit", "verdict", "sentence"),
    [
        (
            122,
            0,
            0,
            1.0,
            "unproven",
            "drop 0.00 points, 95 % interval [-3.1, +3.1], budget 1.00: within; "
            "122 images cannot prove it, about 381 would",
        ),
        (
            700,
            0,
            0,
            1.0,
            "within",
            "drop 0.00 points, 95 % interval [-0.5, +0.5], budget 1.00: within, proven on 700 images",
        ),
        (
            122,
            3,
            0,
            1.0,
            "over",
            "drop 2.46 points, 95 % interval [-0.7, +7.0], budget 1.00: over; 122 images",
        ),
        (
            122,
            3,
            0,
            math.inf,
            "within",
            "drop 2.46 points, 95 % interval [-0.7, +7.0], no budget; 122 images",
        ),
        (
            100,
            1,
            0,
            1.0,
            "unproven",
            "drop 1.00 points, 95 % interval [-2.7, +5.4], budget 1.00: within; 100 images cannot prove it",
        ),
    ],
)
def test_each_answer_says_its_figures(
    n: int, lost: int, gained: int, limit: float, verdict: str, sentence: str
) -> None:
    found = budget.judge(result(n, lost, gained), max_drop_pt=limit)
    assert (found.verdict, found.sentence) == (verdict, sentence)


@settings(max_examples=40, deadline=None)
@given(st.integers(10, 2000), st.integers(0, 5), st.integers(0, 5), st.floats(0, 20, allow_subnormal=False))
def test_over_is_the_point_estimate_and_proven_is_the_interval(
    n: int, lost: int, gained: int, limit: float
) -> None:
    seen = result(n, lost, gained)
    found = budget.judge(seen, max_drop_pt=limit).verdict
    assert (found == "over") == (seen.drop_pt > limit)
    assert (found == "within") == (seen.drop_pt <= limit and seen.drop_ci95_pt[1] <= limit)


def test_the_images_that_are_named_would_prove_it() -> None:
    needed = stats.images_needed(1, 0, 300, 0.01)
    assert needed is not None
    assert stats.tango(needed / 300, 0, needed)[1] < 0.01


def test_a_budget_that_no_number_of_images_could_prove_names_none() -> None:
    found = budget.judge(result(100, 4, 4), max_drop_pt=1e-9)
    assert found.verdict == "unproven"
    assert found.sentence.endswith("100 images cannot prove it")


MEASURED = {"p50": 4.0, "p90": 5.5, "p99": None, "n": 72}


@pytest.mark.parametrize(
    ("limits", "verdict", "words"),
    [
        ((), "within", ""),
        ((LatencyBudget(ms=4.0),), "within", "p50 4.00 ms, budget 4 ms: within"),
        ((LatencyBudget(ms=5.0, at="p90"),), "over", "p90 5.50 ms, budget 5 ms: over"),
        ((LatencyBudget(ms=9.0, at="p99"),), "unproven", "p99 takes 662 runs, 72 were measured"),
        ((LatencyBudget(ms=3.0), LatencyBudget(ms=9.0, at="p99")), "over", "p50 4.00 ms, budget 3 ms: over"),
        ((LatencyBudget(ms=4.0), LatencyBudget(ms=9.0, at="p99")), "unproven", "p50 4.00 ms"),
    ],
)
def test_a_latency_is_held_against_every_limit(
    limits: tuple[LatencyBudget, ...], verdict: str, words: str
) -> None:
    found = budget.judge_latency(MEASURED, limits)
    assert found.verdict == verdict
    assert words in found.sentence


def used(value: float | None) -> list[budget.Used]:
    """Some memory, of which 100 MiB are allowed."""
    return budget.used_of({"memory_mib": value}, Budgets(mem_mib=100.0))


@pytest.mark.parametrize(
    ("value", "verdict", "words"),
    [
        (99.0, "within", "memory 99 MiB, budget 100 MiB: within"),
        (100.0, "within", "within"),
        (100.5, "over", "memory 100.5 MiB, budget 100 MiB: over"),
        (None, "unmeasured", "memory: this host has no source of it, budget 100 MiB not judged"),
    ],
)
def test_memory_and_power_are_held_against_their_budget(
    value: float | None, verdict: str, words: str
) -> None:
    found = budget.judge_used(used(value))
    assert found.verdict == verdict
    assert words in found.sentence


def test_the_source_of_a_power_is_part_of_what_is_said() -> None:
    rail = budget.used_of({"power_w": 4.2, "power_source": "ina3221: VDD_IN"}, Budgets(power_w=5.0))
    assert budget.judge_used(rail).sentence == "power 4.2 W (ina3221: VDD_IN), budget 5 W: within"


def test_what_is_not_measured_is_said_with_its_reason() -> None:
    missing = budget.used_of({}, Budgets(mem_mib=1.0, power_w=5.0), why="not measured over SSH")
    found = budget.judge_used(missing)
    assert found.verdict == "unmeasured"
    assert found.sentence.count("not measured over SSH") == 2


def test_the_worst_of_several_verdicts_counts_and_all_are_said() -> None:
    over, missing = budget.judge_used(used(200.0)), budget.judge_used(used(None))
    kept = budget.judge_latency({"p50": 1.0, "n": 20}, [LatencyBudget(ms=2.0)])
    found = budget.together([kept, missing, over])
    assert found.verdict == "over"
    assert found.sentence.count("; ") == 2
    assert budget.together([kept, missing]).verdict == "unmeasured"
    assert budget.judge_used([]) == budget.Verdict(verdict="within", sentence="")
