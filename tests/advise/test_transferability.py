"""Transferability scores against what they are defined by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from edgetl.advise.logme import log_me
from edgetl.advise.nleep import leep, nleep


def drawn(seed: int, count: int, width: int, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Features of two classes whose means lie ``apart``."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    features = rng.normal(size=(count, width)) + 0.3
    features[:, 0] += apart * labels
    return features, labels


def largest_evidence(features: np.ndarray, target: np.ndarray) -> float:
    """The same maximum by a search over both precisions, of the marginal normal distribution itself."""
    gram = features @ features.T

    def negative(logs: np.ndarray) -> float:
        alpha, beta = np.exp(logs)
        covariance = np.eye(len(target)) / beta + gram / alpha
        return -float(multivariate_normal(cov=covariance).logpdf(target))

    starts = [
        minimize(negative, start, method="Nelder-Mead") for start in ((0.0, 0.0), (3.0, 1.0), (-2.0, 2.0))
    ]
    return -float(min(found.fun for found in starts)) / len(target)


@pytest.mark.parametrize(("count", "width"), [(40, 5), (12, 30), (25, 25)])
def test_logme_is_the_largest_evidence(count: int, width: int) -> None:
    features, labels = drawn(count, count, width, 1.0)
    expected = np.mean([largest_evidence(features, (labels == one).astype(float)) for one in (0, 1)])
    assert log_me(features, labels) == pytest.approx(expected, abs=2e-3)


@given(seed=st.integers(0, 2**16), scale=st.floats(0.01, 100))
@settings(max_examples=30, deadline=None)
def test_logme_does_not_depend_on_the_features_scale(seed: int, scale: float) -> None:
    features, labels = drawn(seed, 30, 8, 1.0)
    assert log_me(scale * features, labels) == pytest.approx(log_me(features, labels), abs=1e-3)


@pytest.mark.parametrize("score", [log_me, lambda f, y: nleep(f, y, seed=0)], ids=["LogME", "NLEEP"])
def test_scores_rise_with_the_distance_of_the_classes(score) -> None:  # type: ignore[no-untyped-def]
    found = [score(*drawn(1, 120, 6, apart)) for apart in (0.0, 2.0, 5.0)]
    assert found == sorted(found)
    assert found[2] > found[0] + 0.1


@given(seed=st.integers(0, 2**16))
@settings(max_examples=30, deadline=None)
def test_leep_of_a_posterior_that_knows_nothing_is_the_labels_entropy(seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 3, 60)
    shares = np.unique(labels, return_counts=True)[1] / 60
    assert leep(np.full((60, 4), 0.25), labels) == pytest.approx((shares * np.log(shares)).sum())
    assert leep(np.eye(3)[labels], labels) == pytest.approx(0.0)


def test_nleep_is_the_same_for_the_same_seed_and_takes_a_handful_of_samples() -> None:
    features, labels = drawn(3, 7, 50, 2.0)
    assert nleep(features, labels, seed=4) == nleep(features, labels, seed=4) <= 0
