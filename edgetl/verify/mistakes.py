"""Which classes are taken for which, and the pictures that an engine gets most wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl.types import Mistake

__all__ = ["WORST", "confusion", "worst"]

Array = npt.NDArray[Any]

WORST = 12
"""Pictures that a bundle remembers by name: enough to see what they have in common."""


def confusion(labels: Array, logits: Array) -> list[tuple[int, int, int]]:
    """How many pictures of one class were taken for which: (class, answer, count), those above zero, in order.

    Parameters
    ----------
    labels : (N,) class indices. logits : (N, classes).
    """
    pairs, counts = np.unique(np.stack([labels, logits.argmax(axis=1)], axis=1), axis=0, return_counts=True)
    return [(int(label), int(answer), int(count)) for (label, answer), count in zip(pairs, counts)]


def worst(
    labels: Array, logits: Array, files: Sequence[tuple[str, str]], count: int = WORST
) -> list[Mistake]:
    """The pictures whose own class was given the least probability, the least first.

    Parameters
    ----------
    labels, logits : as in ``confusion``. files : (path, sha256) of each picture.
    """
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    shares = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    own = shares[np.arange(len(labels)), labels]
    return [
        Mistake(
            path=files[row][0],
            sha256=files[row][1],
            label=int(labels[row]),
            answer=int(logits[row].argmax()),
            probability=float(shares[row].max()),
            true_probability=float(own[row]),
        )
        for row in np.argsort(own, kind="stable")[:count]
    ]
