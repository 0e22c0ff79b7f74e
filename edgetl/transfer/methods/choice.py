"""The method that a request names, ready for the trainer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgetl.transfer.methods.full import Full
from edgetl.transfer.methods.seam import Method
from edgetl.types import BuildSpec

__all__ = ["of"]


def of(spec: BuildSpec, given: Mapping[str, Path]) -> Method:
    """The method of ``spec.method``, with what the request says of its rates.

    Parameters
    ----------
    given : folders of the stages that ``known.METHODS`` says it needs, by name.
    """
    return Full(spec.lr)
