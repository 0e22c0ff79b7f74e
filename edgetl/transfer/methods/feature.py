"""``--method feature``: a linear head on frozen features, by logistic regression."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from threadpoolctl import threadpool_limits

from edgetl.errors import GateFailed

__all__ = ["Head", "fit_head"]

Array = npt.NDArray[np.float32]

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Candidates for scikit-learn's C on standardised features."""
LEAST_SPREAD = 0.2
"""Features that hardly move are standardised as if they moved so much of the typical feature's spread.

Blown up to unit spread they get weights a hundred times the others', and in INT8 the others, which share their
scale, then round to nothing.
"""
FOLDS = 5
MOST_FOR_CHOICE = 5000
"""Rows that the strength is chosen on; more do not change the choice and cost time."""
ITERATIONS = 1000


@dataclass(frozen=True)
class Head:
    """A trained linear head on plain features.

    Attributes
    ----------
    weight : float32 (classes, D). bias : float32 (classes,).
    strength : the C that was chosen. scores : mean cross-validated accuracy by C; empty where it was not chosen so.
    """

    weight: Array
    bias: Array
    strength: float
    scores: dict[str, float]


def fit_head(features: Array, labels: npt.NDArray[np.int64], classes: int, seed: int) -> Head:
    """Fit a multinomial logistic regression; its strength is chosen by cross-validation.

    Parameters
    ----------
    features : float32 (N, D). labels : int64 (N,), every class present.

    Returns
    -------
    The head, with the standardisation of the features folded into its weights.

    Raises
    ------
    GateFailed : a feature is not finite.
    """
    if not np.isfinite(features).all():
        row = int(np.nonzero(~np.isfinite(features).all(axis=1))[0][0])
        raise GateFailed(
            f"the backbone answers NaN or infinity on picture {row} of train",
            hint="check the weights and --mean, --std",
        )
    mean, spread = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    typical = float(np.sqrt(np.square(spread).mean()))
    spread = np.maximum(spread, LEAST_SPREAD * typical if typical > 0 else 1.0)
    standard = ((features - mean) / spread).astype(np.float32)
    strength, scores = _choose(standard, labels, seed)
    model = _fitted(standard, labels, strength)
    weight = np.asarray(model.coef_, np.float64)
    bias = np.asarray(model.intercept_, np.float64)
    if (
        classes == 2 and len(weight) == 1
    ):  # scikit-learn gives two classes one row: the log-odds of the second
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    weight = weight / spread
    bias = bias - weight @ mean
    return Head(weight.astype(np.float32), bias.astype(np.float32), strength, scores)


def _choose(standard: Array, labels: npt.NDArray[np.int64], seed: int) -> tuple[float, dict[str, float]]:
    """The strength with the best mean accuracy over folds; the weaker one on a tie."""
    folds = min(FOLDS, int(np.bincount(labels).min()))
    if folds < 2:
        return STRENGTHS[len(STRENGTHS) // 2], {}
    if len(labels) > MOST_FOR_CHOICE:
        kept = np.random.default_rng(seed).permutation(len(labels))[:MOST_FOR_CHOICE]
        standard, labels = standard[kept], labels[kept]
        folds = min(folds, int(np.bincount(labels).min()))
    if folds < 2:
        return STRENGTHS[len(STRENGTHS) // 2], {}
    split = StratifiedKFold(folds, shuffle=True, random_state=seed)
    scores = {}
    with _fitting():
        for strength in STRENGTHS:
            model = LogisticRegression(C=strength, max_iter=ITERATIONS)
            scores[strength] = float(cross_val_score(model, standard, labels, cv=split).mean())
    best = max(STRENGTHS, key=lambda c: (scores[c], -c))
    return best, {f"{c:g}": round(score, 4) for c, score in scores.items()}


def _fitted(standard: Array, labels: npt.NDArray[np.int64], strength: float) -> Any:
    with _fitting():
        return LogisticRegression(C=strength, max_iter=ITERATIONS).fit(standard, labels)


@contextmanager
def _fitting() -> Iterator[None]:
    """One thread, and a fit that stops at the iteration limit is judged by its accuracy like any other.

    The matrices are small: on a busy processor, threads that spin for each other took many times longer, and
    their number would change bits.
    """
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
