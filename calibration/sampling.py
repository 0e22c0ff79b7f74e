"""Which samples to calibrate with."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["stratified"]


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
