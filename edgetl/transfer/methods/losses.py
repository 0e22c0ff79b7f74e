"""Losses that several methods share."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

__all__ = ["cross_entropy"]


def cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of a batch in which a picture counts as much as its class weighs.

    PyTorch's own ``weight`` also weighs the classes that label smoothing spreads to, so that smoothing would push every
    picture towards the rare ones; here a weight of 2 is the same as the picture twice.

    Parameters
    ----------
    logits : (N, classes). targets : classes (N,), or shares of classes (N, classes).
    weights : float32 (classes,); ``None``: all alike. smoothing : label smoothing (Szegedy et al. 2016, section 7).
    """
    if weights is None:
        return functional.cross_entropy(logits, targets, label_smoothing=smoothing)
    each = functional.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
    weights = weights.to(logits.device)
    counts = weights[targets] if targets.dim() == 1 else targets @ weights
    return (each * counts).sum() / counts.sum()
