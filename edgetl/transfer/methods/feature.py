"""``--method feature``: a linear head on frozen features, by logistic regression."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_score
from threadpoolctl import threadpool_limits

from edgetl.errors import GateFailed

__all__ = ["Head", "fit_head", "fitting", "out_of_fold", "standardised"]

Array = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Weights = dict[int, float] | None

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


def fit_head(
    features: Array,
    labels: Indices,
    classes: int,
    seed: int,
    *,
    groups: Indices | None = None,
    weights: Sequence[float] = (),
) -> Head:
    """Fit a multinomial logistic regression; its strength is chosen by cross-validation.

    Parameters
    ----------
    features : float32 (N, D). labels : int64 (N,), every class present.
    groups : int64 (N,), pictures that no fold parts; ``None`` where each stands for itself.
    weights : of each class in the loss; with them the strength is chosen by balanced accuracy. Empty: all alike.

    Returns
    -------
    The head, with the standardisation of the features folded into its weights.

    Raises
    ------
    GateFailed : a feature is not finite.
    """
    standard, mean, spread = standardised(features)
    weighed = dict(enumerate(weights)) or None
    strength, scores = _choose(standard, labels, seed, groups, weighed)
    model = _fitted(standard, labels, strength, weighed)
    weight = np.asarray(model.coef_, np.float64)
    bias = np.asarray(model.intercept_, np.float64)
    if (
        classes == 2 and len(weight) == 1
    ):  # scikit-learn gives two classes one row: the log-odds of the second
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    weight = weight / spread
    bias = bias - weight @ mean
    return Head(weight.astype(np.float32), bias.astype(np.float32), strength, scores)


def out_of_fold(
    features: Array, labels: Indices, seed: int, *, groups: Indices | None = None
) -> tuple[Indices, npt.NDArray[np.float64]]:
    """What a head says of pictures that it was not fitted to, its strength as ``fit_head`` chooses it.

    Parameters
    ----------
    features, labels, groups : as of ``fit_head``.

    Returns
    -------
    Classes, int64 (N,), and the natural logarithm of the label's probability, float64 (N,): -1 and minus infinity of
    pictures that no fold holds out, as where a class has one picture.

    Raises
    ------
    GateFailed : a feature is not finite.
    """
    standard, _, _ = standardised(features)
    strength, _ = _choose(standard, labels, seed, groups, None)
    said, told = np.full(len(labels), -1, np.int64), np.full(len(labels), -np.inf)
    for fit, held in _folds(labels, groups, seed):
        model = _fitted(standard[fit], labels[fit], strength, None)
        with fitting():
            logs = model.predict_log_proba(standard[held])
        said[held] = model.classes_[logs.argmax(axis=1)]
        told[held] = logs[np.arange(len(held)), np.searchsorted(model.classes_, labels[held])]
    return said, told


def standardised(features: Array) -> tuple[Array, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Features of mean 0 and spread 1, and what they had; a small spread counts as ``LEAST_SPREAD`` says."""
    if not np.isfinite(features).all():
        row = int(np.nonzero(~np.isfinite(features).all(axis=1))[0][0])
        raise GateFailed(
            f"the backbone answers NaN or infinity on picture {row} of train",
            hint="check the weights and --mean, --std",
        )
    mean, spread = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    typical = float(np.sqrt(np.square(spread).mean()))
    spread = np.maximum(spread, LEAST_SPREAD * typical if typical > 0 else 1.0)
    return ((features - mean) / spread).astype(np.float32), mean, spread


def _choose(
    standard: Array, labels: Indices, seed: int, groups: Indices | None, weights: Weights
) -> tuple[float, dict[str, float]]:
    """The strength with the best mean accuracy over folds; the weaker one on a tie."""
    if len(labels) > MOST_FOR_CHOICE:
        kept = np.random.default_rng(seed).permutation(len(labels))[:MOST_FOR_CHOICE]
        standard, labels = standard[kept], labels[kept]
        groups = None if groups is None else groups[kept]
    split = _folds(labels, groups, seed)
    if len(split) < 2:
        return STRENGTHS[len(STRENGTHS) // 2], {}
    scores, judge = {}, "accuracy" if weights is None else "balanced_accuracy"
    with fitting():
        for strength in STRENGTHS:
            model = LogisticRegression(C=strength, max_iter=ITERATIONS, class_weight=weights)
            found = cross_val_score(model, standard, labels, cv=split, scoring=judge)
            scores[strength] = float(found.mean())
    best = max(STRENGTHS, key=lambda c: (scores[c], -c))
    return best, {f"{c:g}": round(score, 4) for c, score in scores.items()}


def _folds(labels: Indices, groups: Indices | None, seed: int) -> list[tuple[Indices, Indices]]:
    """Rows to fit on and rows to score, by class; groups stay whole. None where a class has too few of them."""
    present = np.unique(labels)
    units = np.arange(len(labels)) if groups is None else groups
    count = min(FOLDS, *(len(np.unique(units[labels == label])) for label in present))
    if count < 2:
        return []
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    split = kind(count, shuffle=True, random_state=seed)
    found = list(split.split(labels, labels, groups))
    # a group of several classes can leave the rest without one, which nothing can be fitted to
    return [(fit, held) for fit, held in found if len(np.unique(labels[fit])) == len(present)]


def _fitted(standard: Array, labels: Indices, strength: float, weights: Weights) -> Any:
    with fitting():
        model = LogisticRegression(C=strength, max_iter=ITERATIONS, class_weight=weights)
        return model.fit(standard, labels)


@contextmanager
def fitting() -> Iterator[None]:
    """One thread, and a fit that stops at the iteration limit is judged by its accuracy like any other.

    The matrices are small: on a busy processor, threads that spin for each other took many times longer, and
    their number would change bits.
    """
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
