"""Areas and errors are those of scikit-learn and of the papers, and their intervals cover what they should."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from edgetl.verify import metrics
from edgetl.verify.metrics import average_precision, calibration_error, measure, roc_auc

pairs = st.lists(st.tuples(st.booleans(), st.integers(0, 12)), min_size=2, max_size=60)


def split(rows: list[tuple[bool, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Truth and scores; ties are frequent."""
    positive = np.array([mine for mine, _ in rows])
    assume(positive.any() and not positive.all())
    return positive, np.array([score / 12 for _, score in rows])


@given(pairs)
def test_areas_are_those_of_scikit_learn_ties_included(rows: list[tuple[bool, int]]) -> None:
    positive, scores = split(rows)
    area, precision = roc_auc(positive, scores), average_precision(positive, scores)
    assert area.value == pytest.approx(roc_auc_score(positive, scores))
    assert precision.value == pytest.approx(average_precision_score(positive, scores))
    for found in (area, precision):
        assert 0 <= found.ci95[0] <= found.value + 1e-9
        assert found.value - 1e-9 <= found.ci95[1] <= 1
        assert found.ci95[0] < found.ci95[1], "an interval of nothing is a lie, at 0 and 1 too"


@given(pairs)
def test_the_area_of_the_other_class_is_the_rest(rows: list[tuple[bool, int]]) -> None:
    positive, scores = split(rows)
    one, other = roc_auc(positive, scores), roc_auc(~positive, -scores)
    assert one.value == pytest.approx(other.value)
    assert roc_auc(~positive, scores).ci95[0] == pytest.approx(1 - one.ci95[1], abs=1e-6)


@pytest.mark.parametrize(("positives", "negatives", "area"), [(12, 40, 0.95), (30, 30, 0.8)])
def test_the_interval_of_the_area_covers_it(positives: int, negatives: int, area: float) -> None:
    from scipy.stats import norm

    rng = np.random.default_rng(0)
    positive = np.arange(positives + negatives) < positives
    shift = np.sqrt(2) * norm.ppf(area)
    hits = 0
    for _ in range(400):
        low, high = roc_auc(positive, rng.normal(0, 1, len(positive)) + shift * positive).ci95
        hits += low <= area <= high
    assert 0.93 <= hits / 400 <= 0.995


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.floats(0.01, 1.0)), min_size=1, max_size=50))
def test_calibration_error_is_the_formula(rows: list[tuple[bool, float]]) -> None:
    right, sure = np.array([r for r, _ in rows]), np.array([p for _, p in rows])
    edges = np.linspace(0, 1, metrics.BINS + 1)
    total = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (np.ceil(sure * metrics.BINS) - 1) == round(low * metrics.BINS)
        if inside.any():
            assert (sure[inside] <= high + 1e-9).all()
            total += inside.sum() / len(rows) * abs(right[inside].mean() - sure[inside].mean())
    assert calibration_error(right, sure).value == pytest.approx(total)


@pytest.mark.parametrize("boast", [0.0, 0.04])
def test_the_interval_of_the_calibration_error_covers_it(boast: float) -> None:
    rng = np.random.default_rng(1)

    def drawn(count: int) -> tuple[Any, Any]:
        sure = 0.5 + 0.5 * rng.beta(5, 1.2, count)
        return rng.random(count) < np.clip(sure - boast, 0, 1), sure

    hits = 0
    for seed in range(60):
        low, high = calibration_error(*drawn(122), seed=seed).ci95
        hits += low <= boast <= high
    assert hits >= 52, "0.95 of 60, less what chance takes"


def test_an_error_that_chance_does_not_make_is_above_0() -> None:
    rng = np.random.default_rng(1)
    boasting = calibration_error(rng.random(200) < 0.6, np.full(200, 0.99))
    assert boasting.value == pytest.approx(0.39, abs=0.1)
    assert boasting.ci95[0] > 0.2


def test_a_class_without_a_picture_has_no_area() -> None:
    logits = np.eye(3, dtype=np.float32)[[0, 1, 0, 1]]
    found = measure(np.array([0, 1, 0, 1]), logits, ["a", "b", "c"])
    assert found.by_class[2].roc_auc is None
    assert found.by_class[0].roc_auc is not None
    assert found.by_class[0].roc_auc.value == 1.0


def test_what_a_summary_says_depends_on_what_accuracy_hides() -> None:
    rng = np.random.default_rng(0)

    def said(counts: list[int], positive: str | None = None) -> str:
        labels = np.repeat(np.arange(len(counts)), counts)
        logits = rng.normal(0, 1, (len(labels), len(counts))).astype(np.float32)
        found = measure(labels, logits, [f"class{n}" for n in range(len(counts))])
        return " ".join(metrics.lines(found, found, positive))

    assert said([20, 20, 20]) == "", "balanced: accuracy says it"
    assert said([60, 20, 20]).startswith("lowest ROC AUC")
    assert said([20, 10]).startswith("ROC AUC of 'class1'"), "of two the rarer"
    assert said([20, 10], "class0").startswith("ROC AUC of 'class0'")
