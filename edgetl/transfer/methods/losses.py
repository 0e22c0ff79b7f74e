"""Losses that several methods share."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

__all__ = ["Counted", "cross_entropy"]

Counted = Callable[[Tensor], Tensor]
"""What a sum of losses is divided by, a scalar, of the weights (N,) of its pictures."""


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor | None,
    smoothing: float = 0.0,
    counted: Counted = Tensor.sum,
) -> Tensor:
    """Mean cross-entropy of a batch in which a picture counts as much as its class weighs.

    PyTorch's own ``weight`` also weighs the classes that label smoothing spreads to, so that smoothing would push every
    picture towards the rare ones; here a weight of 2 is the same as the picture twice.

    Parameters
    ----------
    logits : (N, classes). targets : classes (N,), or shares of classes (N, classes).
    weights : float32 (classes,); ``None``: all alike. smoothing : label smoothing (Szegedy et al. 2016, section 7).
    counted : of a process that has a part of the batch (``Group.counted``).
    """
    if weights is None:
        return functional.cross_entropy(logits, targets, label_smoothing=smoothing)
    each = functional.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
    weights = weights.to(logits.device)
    counts = weights[targets] if targets.dim() == 1 else targets @ weights
    return (each * counts).sum() / counted(counts)
