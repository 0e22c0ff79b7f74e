"""NLEEP: how well clusters of frozen features tell the labels."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

__all__ = ["leep", "nleep"]

KEPT = 0.8
"""Share of the variance that the principal components keep, as in the paper."""
A_CLASS = 5
"""Clusters a class, as in the paper, where there are ``EACH`` samples for each."""
EACH = 4
REGULAR = 1e-3
"""Added to variances, as a share of the mean one: a cluster of a few samples has none in some directions."""


def nleep(features: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], *, seed: int) -> float:
    """Mean log-likelihood of the labels by way of clusters; at most 0, higher transfers better.

    Li et al., "Ranking neural checkpoints" (CVPR 2021), section 3: principal components, a Gaussian mixture, and its
    posterior in the place of source classes in LEEP. Covariances are diagonal: few samples carry no full ones.

    Parameters
    ----------
    features : (N, D), finite. labels : int (N,). seed : of the mixture's start.
    """
    rows = np.asarray(features, np.float64)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        parts = PCA(KEPT, svd_solver="full").fit_transform(rows)
        clusters = max(2, min(A_CLASS * len(np.unique(labels)), len(rows) // EACH))
        mixture = GaussianMixture(
            min(clusters, len(rows)),
            covariance_type="diag",
            reg_covar=REGULAR * float(parts.var(axis=0).mean()) + np.finfo(np.float64).tiny,
            random_state=seed,
        )
        posterior = mixture.fit(parts).predict_proba(parts)
    return leep(posterior, labels)


def leep(posterior: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]) -> float:
    """Log expected empirical prediction (Nguyen et al., ICML 2020, section 3).

    Parameters
    ----------
    posterior : (N, Z), of each sample over source classes or clusters; rows sum to 1. labels : int (N,).
    """
    given = np.asarray(posterior, np.float64)
    _, classes = np.unique(labels, return_inverse=True)
    joint = np.zeros((classes.max() + 1, given.shape[1]))
    np.add.at(joint, classes, given)
    marginal = joint.sum(axis=0)
    conditional = np.divide(joint, marginal, out=np.zeros_like(joint), where=marginal > 0)
    return float(np.log((conditional[classes] * given).sum(axis=1)).mean())
