"""Logits to labels: softmax, ranking, and what is no answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl.errors import GateFailed
from edgetl.runtime.prediction import Prediction, Value, as_logits, normalised, of_logits, of_row
from edgetl.tasks import Task

LARGEST = float(np.finfo(np.float32).max)


@settings(deadline=None)
@given(
    values=st.lists(st.sampled_from([-3.0, -0.5, 0.0, 0.25, 7.0]), min_size=1, max_size=40),
    count=st.integers(1, 45),
)
def test_the_likeliest_are_those_of_a_full_sort_and_equals_keep_their_order(
    values: list[float], count: int
) -> None:
    logits = np.array(values, np.float32)
    found = of_logits(logits, [str(index) for index in range(len(values))], count)
    assert [int(label) for label, _ in found.top_k] == np.argsort(-logits, kind="stable")[:count].tolist()
    assert (found.label, found.probability) == found.top_k[0]


@settings(deadline=None)
@given(values=st.lists(st.floats(-200, 200, width=32), min_size=1, max_size=30))
def test_the_shares_are_the_softmax(values: list[float]) -> None:
    exact = np.exp(np.array(values, np.float64) - max(values))
    exact /= exact.sum()
    found = of_logits(np.array(values, np.float32), [str(index) for index in range(len(values))], len(values))
    given = [share for _, share in sorted(found.top_k, key=lambda pair: int(pair[0]))]
    np.testing.assert_allclose(given, exact, rtol=1e-5, atol=1e-12)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 2])
def test_what_is_not_finite_is_no_answer(bad: float, place: int) -> None:
    logits = np.zeros(3, np.float32)
    logits[place] = bad
    with pytest.raises(GateFailed, match="NaN or infinity"):
        of_logits(logits, ["a", "b", "c"], 1)


@pytest.mark.filterwarnings("error")
def test_the_largest_numbers_are_still_numbers() -> None:
    assert of_logits(np.array([LARGEST, LARGEST], np.float32), ["a", "b"], 2).probability == 0.5


def test_probabilities_become_the_logits_that_plain_ones_are_brought_to() -> None:
    logits = np.random.default_rng(0).normal(0, 8, (20, 30)).astype(np.float32)
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = raised / raised.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(as_logits("probabilities", probabilities), normalised(logits), atol=1e-4)
    np.testing.assert_allclose(normalised(normalised(logits)), normalised(logits), atol=1e-5)
    assert as_logits("logits", logits) is logits


def test_a_probability_of_zero_is_a_finite_logit_and_nan_stays() -> None:
    answered = np.array([[1, 0, 0], [np.nan, 0, 0]], np.float32)
    found = as_logits("probabilities", answered)
    assert np.isfinite(found[0]).all()
    assert np.array_equal(found[0], normalised(np.array([[200, 0, 0]], np.float32))[0])
    assert np.isnan(found[1, 0])


TASKS = (
    Task(name="kind", kind="classes", labels=("cat", "dog")),
    Task(name="age", kind="value", mean=40.0, std=9.0, spread=7.0),
    Task(name="colour", kind="classes", labels=("grey", "red", "tan")),
)


def test_a_row_is_the_answer_to_each_task() -> None:
    found = of_row(np.array([0.0, 2.0, 41.5, 9.0, 0.0, 1.0], np.float32), TASKS, 2)
    assert list(found) == ["kind", "age", "colour"]
    kind, age, colour = found.values()
    assert (
        isinstance(kind, Prediction)
        and kind.label == "dog"
        and kind.probability == pytest.approx(0.8808, abs=1e-4)
    )
    assert age == Value(41.5)
    assert isinstance(colour, Prediction) and [label for label, _ in colour.top_k] == ["grey", "tan"]


@pytest.mark.parametrize(("place", "task"), [(1, "kind"), (2, "age"), (4, "colour")])
def test_a_task_that_answers_nonsense_is_named(place: int, task: str) -> None:
    row = np.zeros(6, np.float32)
    row[place] = np.nan
    with pytest.raises(GateFailed, match=f"NaN or infinity to {task}"):
        of_row(row, TASKS, 5)
