"""Which samples to calibrate with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SELECTIONS", "coverage", "stratified"]

SELECTIONS = ("stratified", "coverage")
_BLOCK = 1 << 22
"""Values of features that are held against a chosen one at once."""


def stratified(labels: npt.NDArray[Any], n: int, seed: int) -> npt.NDArray[np.int64]:
    """Indices of up to ``n`` distinct samples, as evenly over the classes as the data allows.

    Each class is shuffled, then the classes are dealt from in turn, so that a prefix of the result is
    stratified too, and a class that runs out leaves its share to the others.

    Parameters
    ----------
    labels : (N,) class of each sample.
    n : how many; all where there are fewer.
    seed : of the shuffle; the same seed, labels and ``n`` give the same indices.

    Raises
    ------
    ValueError : ``n`` is below 1, or there are no labels.
    """
    if n < 1 or labels.ndim != 1 or not labels.size:
        raise ValueError(f"cannot draw {n} of labels with shape {labels.shape}")
    rng = np.random.default_rng(seed)
    order = rng.permutation(labels.size)
    grouped = order[np.argsort(labels[order], kind="stable")]  # class by class, shuffled inside each
    sizes = np.unique(labels, return_counts=True)[1]
    turn = np.concatenate([np.arange(size) for size in sizes])
    return grouped[np.argsort(turn, kind="stable")][:n].astype(np.int64)


def coverage(features: npt.NDArray[Any], n: int) -> npt.NDArray[np.int64]:
    """Indices of up to ``n`` samples that leave none far from a chosen one: k-center, greedily.

    Starts with the sample nearest to the mean, then takes the one that is farthest from all that are chosen (Gonzalez
    1985, Theor. Comput. Sci. 38:293: never more than twice the least radius; Sener and Savarese 2018,
    arXiv:1708.00489, choose training data so). The start is not drawn and classes are not looked at, so that the same
    features give the same samples; a prefix of the result is a smaller choice. Outliers are taken early: that is meant,
    for extremes set ranges, and it is why drawing by class stays the default.

    Parameters
    ----------
    features : (N, D), finite; distances are Euclidean. They may be mapped from disk: a block is read at a time.
    n : how many; all that differ where there are fewer, then the others in order.

    Raises
    ------
    ValueError : ``n`` is below 1, there are no samples, or a feature is not finite.
    """
    if n < 1 or features.ndim != 2 or not features.size:
        raise ValueError(f"cannot choose {n} of features with shape {features.shape}")
    finite = np.isfinite(_squared_distances(features, np.zeros(features.shape[1], np.float32)))
    if not finite.all():
        raise ValueError(f"the features of sample {int(np.argmin(finite))} are not finite")
    middle = features.mean(axis=0, dtype=np.float64).astype(np.float32)
    chosen = [int(np.argmin(_squared_distances(features, middle)))]
    nearest = np.full(len(features), np.inf, np.float32)
    while len(chosen) < min(n, len(features)):
        nearest = np.minimum(nearest, _squared_distances(features, features[chosen[-1]]))
        nearest[chosen[-1]] = -1.0  # a copy of a chosen one is at 0, and may still be taken
        chosen.append(int(np.argmax(nearest)))
    return np.array(chosen, np.int64)


def _squared_distances(features: npt.NDArray[Any], centre: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """From each sample to one point, (N,)."""
    found = np.empty(len(features), np.float32)
    rows = max(_BLOCK // features.shape[1], 1)
    for start in range(0, len(features), rows):
        apart = np.asarray(features[start : start + rows], np.float32) - centre
        found[start : start + rows] = np.einsum("nd,nd->n", apart, apart)
    return found
