"""``--method feature`` for several tasks: a logistic regression for classes, a ridge regression for values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, KFold

from edgetl.tasks import Task
from edgetl.transfer.methods.feature import (
    FOLDS,
    MOST_FOR_CHOICE,
    Array,
    Head,
    Indices,
    fit_head,
    fitting,
    standardised,
)

__all__ = ["fit_tasks", "fit_value"]

Floats = npt.NDArray[np.float64]
PENALTIES = (1e1, 1e2, 1e3, 1e4, 1e5)
"""Candidates for ridge's alpha on standardised features."""


def fit_tasks(
    features: Array,
    answers: Floats,
    tasks: Sequence[Task],
    seed: int,
    *,
    groups: Indices | None = None,
    weights: Mapping[str, Sequence[float]],
) -> dict[str, Head]:
    """A head for each task, by its name; their rows beside each other are the network's head.

    Parameters
    ----------
    features : float32 (N, D). answers : float64 (N, tasks), class indices and values.
    groups : int64 (N,), pictures that no fold parts. weights : of each class of a task, by the task's name.

    Raises
    ------
    GateFailed : a feature is not finite.
    """
    found = {}
    for number, task in enumerate(tasks):
        mine = answers[:, number]
        if task.kind == "value":
            found[task.name] = fit_value(features, mine, seed, groups=groups)
        else:
            labels, of = mine.astype(np.int64), weights.get(task.name, ())
            found[task.name] = fit_head(features, labels, task.width, seed, groups=groups, weights=of)
    return found


def fit_value(features: Array, values: Floats, seed: int, *, groups: Indices | None = None) -> Head:
    """Fit a ridge regression; its penalty is the one with the least cross-validated absolute error.

    Parameters
    ----------
    features : float32 (N, D). values : float64 (N,), in any unit.

    Returns
    -------
    One row, weight (1, D) and bias (1,), on plain features and in the values' unit; ``scores`` are mean errors.
    """
    standard, mean, spread = standardised(features)
    unit = float(values.std()) or 1.0
    targets = (values - values.mean()) / unit
    penalty, scores = _choose(standard, targets, seed, groups)
    with fitting():
        model = Ridge(alpha=penalty).fit(standard, targets)
    weight = unit * np.asarray(model.coef_, np.float64).reshape(1, -1) / spread
    bias = unit * float(model.intercept_) + values.mean() - weight @ mean
    told = {f"{alpha:g}": round(unit * score, 6) for alpha, score in scores.items()}
    return Head(weight.astype(np.float32), bias.astype(np.float32), penalty, told)


def _choose(
    standard: Array, targets: Floats, seed: int, groups: Indices | None
) -> tuple[float, dict[float, float]]:
    """The penalty with the least mean absolute error over folds, the larger one on a tie; the middle one without."""
    kept = np.random.default_rng(seed).permutation(len(targets))[:MOST_FOR_CHOICE]
    standard, targets = standard[kept], targets[kept]
    units = len(targets) if groups is None else len(np.unique(groups[kept]))
    if units < 2:
        return PENALTIES[len(PENALTIES) // 2], {}
    folds = min(FOLDS, units)
    split = KFold(folds) if groups is None else GroupKFold(folds)  # the rows are shuffled already
    rows = list(split.split(standard, targets, None if groups is None else groups[kept]))
    scores = {}
    with fitting():
        for penalty in PENALTIES:
            errors = [
                np.abs(
                    Ridge(alpha=penalty).fit(standard[fit], targets[fit]).predict(standard[held])
                    - targets[held]
                )
                for fit, held in rows
            ]
            scores[penalty] = float(np.concatenate(errors).mean())
    return min(PENALTIES, key=lambda alpha: (scores[alpha], -alpha)), scores
