"""From the engine's logits to the labels: softmax and the likeliest classes.

It runs right after the engine, when numpy's own code is no longer in the processor's caches: each call of it costs
several times what a loop of this alone would show. So there are few of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgetl.errors import GateFailed
from edgetl.tasks import Task, slices

__all__ = [
    "PROBABILITIES",
    "Answers",
    "Decision",
    "Prediction",
    "Value",
    "as_logits",
    "chances",
    "normalised",
    "of_logits",
    "of_row",
]

Floats = npt.NDArray[np.float32]
PROBABILITIES = "probabilities"
"""The first output of an engine whose head is fused; that of any other is logits."""
LEAST = np.finfo(np.float32).tiny
"""Smaller probabilities count as this one, so that the logarithm of each is finite."""


class Prediction(NamedTuple):
    """What the engine says of one picture.

    Attributes
    ----------
    label, probability : the likeliest class, or the one that the bundle's threshold decides for.
    top_k : the likeliest classes with their probability.
    logits : float32 (classes,).
    """

    label: str
    probability: float
    top_k: tuple[tuple[str, float], ...]
    logits: Floats


class Value(NamedTuple):
    """What the engine says of one picture where it predicts a number, in that number's own unit."""

    value: float


Answers = dict[str, "Prediction | Value"]
"""The answer to each task, by its name."""


class Decision(NamedTuple):
    """The class ``positive``, an index, of two is answered from a probability of ``threshold`` on."""

    positive: int
    threshold: float


def chances(logits: Floats, positive: int) -> npt.NDArray[np.float64]:
    """Probability of one of two classes, float64 (N,), from logits (N, 2): what a threshold is held against."""
    ours, other = logits[:, positive].astype(np.float64), logits[:, 1 - positive].astype(np.float64)
    with np.errstate(over="ignore"):
        found: npt.NDArray[np.float64] = 1 / (1 + np.exp(other - ours))
    return found


def of_logits(
    logits: Floats, labels: Sequence[str], top_k: int, decision: Decision | None = None
) -> Prediction:
    """The likeliest classes, the earlier first among equals, with their softmax.

    Parameters
    ----------
    logits : float32 (classes,). labels : one a class. top_k : classes to list, from 1.
    decision : which of two classes is the answer; ``None``: the likelier.

    Raises
    ------
    GateFailed : a logit is NaN or infinite.
    """
    lowest = float(np.minimum.reduce(logits))  # a NaN comes through
    ranked = _likeliest(logits, top_k) if math.isfinite(lowest) else []
    if not ranked or ranked[0][0] == math.inf:
        raise GateFailed(
            "the engine answers NaN or infinity", hint="edgetl verify BUNDLE says whether it is whole"
        )
    highest = ranked[0][0]
    spread = float(np.add.reduce(np.exp(logits - np.float32(highest))))
    shares = tuple((labels[index], math.exp(value - highest) / spread) for value, index in ranked)
    if decision is None:
        return Prediction(*shares[0], shares, logits)
    chance = float(chances(logits[None], decision.positive)[0])
    if chance >= decision.threshold:
        return Prediction(labels[decision.positive], chance, shares, logits)
    return Prediction(labels[1 - decision.positive], 1 - chance, shares, logits)


def of_row(row: Floats, tasks: Sequence[Task], top_k: int) -> Answers:
    """The answer to each task, from the row (outputs,) that they share.

    Raises
    ------
    GateFailed : a number is NaN or infinite; the task is named.
    """
    found: Answers = {}
    for task, part in zip(tasks, slices(tasks)):
        mine = row[part]
        if not np.isfinite(mine).all():
            raise GateFailed(
                f"the engine answers NaN or infinity to {task.name}",
                hint="edgetl verify BUNDLE says whether it is whole",
            )
        found[task.name] = of_logits(mine, task.labels, top_k) if task.labels else Value(float(mine[0]))
    return found


def as_logits(output: str, answered: Floats) -> Floats:
    """Logits (N, classes) from an engine's first output: of probabilities their logarithm, whose softmax they are.

    Logits are told apart up to a constant for each picture only; these are those whose exponentials add up to 1.

    Parameters
    ----------
    output : its name.
    """
    if output != PROBABILITIES:
        return answered
    logarithms: Floats = np.log(np.maximum(answered, LEAST))
    return logarithms


def normalised(logits: Floats) -> Floats:
    """Logits (N, classes) with the constant that ``as_logits`` gives them: logarithms of their softmax."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    logarithms = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    floored: Floats = np.maximum(logarithms, np.log(LEAST))
    return floored


def _likeliest(logits: Floats, count: int) -> list[tuple[float, int]]:
    """Value and index of the largest logits, the largest first and the earlier first among equals."""
    if count < len(logits):  # sorting a thousand classes for five costs more than the softmax
        parted = logits.copy()
        parted.partition(-count)
        able = (logits >= parted[-count]).nonzero()[0]
    else:
        able = np.arange(len(logits))
    values = zip(logits[able].tolist(), able.tolist())
    return sorted(values, key=lambda pair: (-pair[0], pair[1]))[:count]
