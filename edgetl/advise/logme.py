"""LogME: how well a linear model on frozen features explains the labels, by its evidence."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["evidence", "log_me"]

Floats = npt.NDArray[np.float64]

STEPS = 30
CLOSE = 1e-6
"""Of the ratio of precisions, from step to step; most targets take fewer than ten."""
LEAST = 1e-12
"""Where a target is explained without a rest: its noise would be infinitely precise."""


def log_me(features: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]) -> float:
    """Logarithm of the maximum evidence a sample, mean over one-hot targets; higher transfers better.

    You et al., "LogME: practical assessment of pre-trained models for transfer learning" (ICML 2021), section 4, with
    the fixed point of "Ranking and tuning pre-trained models" (JMLR 2022), algorithm 3.

    Parameters
    ----------
    features : (N, D), finite. labels : int (N,), two classes at least.
    """
    rows = np.asarray(features, np.float64)
    left, singular, _ = np.linalg.svd(rows, full_matrices=False)
    sigma = singular**2
    found = [
        evidence(sigma, left.T @ target, float(target @ target), len(rows), rows.shape[1])
        for target in (np.asarray(labels == label, np.float64) for label in np.unique(labels))
    ]
    return float(np.mean(found))


def evidence(sigma: Floats, projected: Floats, power: float, count: int, width: int) -> float:
    """Largest log evidence of one target, a sample.

    Bayesian linear regression with precision ``alpha`` of the weights and ``beta`` of the noise, maximised in turn.

    Parameters
    ----------
    sigma : squared singular values of the features (K,). projected : the target on their left vectors (K,).
    power : squared length of the target. count, width : N and D.
    """
    squares = projected**2
    outside = max(power - float(squares.sum()), 0.0)
    ratio = 1.0
    for _ in range(STEPS):
        weights = max(float((sigma * squares / (ratio + sigma) ** 2).sum()), LEAST)
        rest = max(float((squares / (1 + sigma / ratio) ** 2).sum()) + outside, LEAST)
        used = float((sigma / (sigma + ratio)).sum())
        alpha, beta = used / weights, (count - used) / rest
        before, ratio = ratio, max(alpha / beta, LEAST)
        if abs(ratio - before) <= CLOSE * before:
            break
    weights = float((sigma * squares / (ratio + sigma) ** 2).sum())
    rest = float((squares / (1 + sigma / ratio) ** 2).sum()) + outside
    logs = width * math.log(alpha) + count * math.log(beta) - count * math.log(2 * math.pi)
    logs -= float(np.log(alpha + beta * sigma).sum()) + (width - len(sigma)) * math.log(alpha)
    return (logs - beta * rest - alpha * weights) / (2 * count)
