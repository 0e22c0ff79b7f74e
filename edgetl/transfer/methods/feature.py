"""``--method feature``: a linear head on frozen features, by logistic regression."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from threadpoolctl import threadpool_limits

from edgetl.errors import GateFailed

__all__ = ["Head", "fit_head", "fitting", "out_of_fold", "standardised"]

Array = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Weights = dict[int, float] | None

Scale = Literal["each", "all"]
"""What a feature is divided by: its own spread, or the typical one of all.

By its spread a backbone for ImageNet's thousand classes tells how much a feature says, and a head of few pictures does
better by keeping that; a narrow network, whose features are all needed, wants them alike.
"""
STRENGTHS: dict[Scale, tuple[float, ...]] = {
    "each": (1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    "all": (1e-3, 1e-2, 1e-1, 1.0, 10.0),
}
"""Candidates for scikit-learn's C on features so scaled."""
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
    strength : the C that was chosen, or a ridge's penalty.
    scores : what cross-validation says of each candidate; empty where it did not choose.
    scale : what the features were divided by before.
    """

    weight: Array
    bias: Array
    strength: float
    scores: dict[str, float]
    scale: Scale = "each"


class _Choice(NamedTuple):
    """A candidate."""

    scale: Scale
    strength: float

    def said(self) -> str:
        """As records name it."""
        return f"{self.strength:g}, {self.scale}"


UNKNOWN = _Choice("each", 1e-2)
"""What is taken where there are too few pictures to choose by."""


def fit_head(
    features: Array,
    labels: Indices,
    classes: int,
    seed: int,
    *,
    groups: Indices | None = None,
    weights: Sequence[float] = (),
) -> Head:
    """Fit a multinomial logistic regression; its strength and the features' scale are chosen by cross-validation.

    Parameters
    ----------
    features : float32 (N, D). labels : int64 (N,), every class present.
    groups : int64 (N,), pictures that no fold parts; ``None`` where each stands for itself.
    weights : of each class in the loss; with them the strength is chosen by balanced accuracy. Empty: all alike.

    Returns
    -------
    The head, with the scaling of the features folded into its weights.

    Raises
    ------
    GateFailed : a feature is not finite.
    """
    weighed = dict(enumerate(weights)) or None
    choice, scores = _choose(features, labels, seed, groups, weighed)
    standard, mean, spread = standardised(features, choice.scale)
    model = _fitted(standard, labels, choice.strength, weighed)
    weight = np.asarray(model.coef_, np.float64)
    bias = np.asarray(model.intercept_, np.float64)
    if (
        classes == 2 and len(weight) == 1
    ):  # scikit-learn gives two classes one row: the log-odds of the second
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    weight = weight / spread
    bias = bias - weight @ mean
    return Head(weight.astype(np.float32), bias.astype(np.float32), choice.strength, scores, choice.scale)


def out_of_fold(
    features: Array, labels: Indices, seed: int, *, groups: Indices | None = None
) -> tuple[Indices, npt.NDArray[np.float64]]:
    """What a head says of pictures that it was not fitted to, its strength and scale as ``fit_head`` chooses them.

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
    choice, _ = _choose(features, labels, seed, groups, None)
    standard, _, _ = standardised(features, choice.scale)
    said, told = np.full(len(labels), -1, np.int64), np.full(len(labels), -np.inf)
    for fit, held in _folds(labels, groups, seed):
        said[held], told[held] = _said_of(standard, labels, fit, held, choice.strength, None)
    return said, told


def standardised(
    features: Array, scale: Scale = "each"
) -> tuple[Array, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Features of mean 0 and spread 1, each or on average, and what they were moved and divided by.

    A small spread of its own counts as ``LEAST_SPREAD`` says.

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
    typical = typical if typical > 0 else 1.0
    spread = np.maximum(spread, LEAST_SPREAD * typical) if scale == "each" else np.full_like(spread, typical)
    return ((features - mean) / spread).astype(np.float32), mean, spread


def _choose(
    features: Array, labels: Indices, seed: int, groups: Indices | None, weights: Weights
) -> tuple[_Choice, dict[str, float]]:
    """The candidate with the best mean accuracy over folds, of several the one that gives the labels most likelihood.

    Few pictures leave many with the same accuracy.
    """
    if len(labels) > MOST_FOR_CHOICE:
        kept = np.random.default_rng(seed).permutation(len(labels))[:MOST_FOR_CHOICE]
        features, labels = features[kept], labels[kept]
        groups = None if groups is None else groups[kept]
    split = _folds(labels, groups, seed)
    if len(split) < 2:
        return UNKNOWN, {}
    found: dict[_Choice, tuple[float, float]] = {}
    for scale, strengths in STRENGTHS.items():
        standard, _, _ = standardised(features, scale)
        for strength in strengths:
            judged = [_judged(standard, labels, *rows, strength, weights) for rows in split]
            accuracy, likelihood = np.mean(judged, axis=0).tolist()
            # means of the same shares differ by a rounding
            found[_Choice(scale, strength)] = (round(accuracy, 9), likelihood)
    scores = {choice.said(): round(accuracy, 4) for choice, (accuracy, _) in found.items()}
    return max(found, key=lambda choice: found[choice]), scores


def _judged(
    standard: Array, labels: Indices, fit: Indices, held: Indices, strength: float, weights: Weights
) -> tuple[float, float]:
    """Accuracy and mean log-likelihood on the held rows; with weights each class counts alike."""
    said, told = _said_of(standard, labels, fit, held, strength, weights)
    shares = None if weights is None else 1.0 / np.bincount(labels[held])[labels[held]]
    return float(np.average(said == labels[held], weights=shares)), float(np.average(told, weights=shares))


def _said_of(
    standard: Array, labels: Indices, fit: Indices, held: Indices, strength: float, weights: Weights
) -> tuple[Indices, npt.NDArray[np.float64]]:
    """Classes of the held rows by a head of the others, and the natural logarithm of their labels' probability."""
    model = _fitted(standard[fit], labels[fit], strength, weights)
    margins = model.decision_function(standard[held])
    if margins.ndim == 1:  # of two classes: how far the second is ahead
        margins = np.stack([np.zeros_like(margins), margins], axis=1)
    logs = margins - np.logaddexp.reduce(margins, axis=1, keepdims=True)  # finite, where a probability is 0
    told = logs[np.arange(len(held)), np.searchsorted(model.classes_, labels[held])]
    return model.classes_[logs.argmax(axis=1)], told


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
