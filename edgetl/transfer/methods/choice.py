"""The method that a request names, ready for the trainer."""

from __future__ import annotations

from torch import Tensor

from edgetl.transfer.methods.full import Full
from edgetl.transfer.methods.seam import Method
from edgetl.types import BuildSpec

__all__ = ["of"]


def of(spec: BuildSpec, weights: Tensor | None = None) -> Method:
    """The method of ``spec.method``, with what the request says of its rates.

    Parameters
    ----------
    weights : of each class in its loss, float32 (classes,); ``None``: all alike.
    """
    return Full(spec.lr, weights)
