"""The method that a request names, ready for the trainer."""

from __future__ import annotations

from edgetl.transfer.methods.full import Full
from edgetl.transfer.methods.seam import Method
from edgetl.types import BuildSpec

__all__ = ["of"]


def of(spec: BuildSpec) -> Method:
    """The method of ``spec.method``, with what the request says of its rates."""
    return Full(spec.lr)
