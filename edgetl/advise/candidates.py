"""Which backbones enter: those that were named, or those whose weights are at hand."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from edgetl import models
from edgetl.errors import InputError
from edgetl.types import Record

__all__ = ["DEFAULT", "Candidate", "called", "named"]

DEFAULT = (
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "mobilenet_v2",
    "shufflenet_v2_x1_0",
    "regnet_y_400mf",
    "efficientnet_b0",
    "resnet18",
    "resnet50",
    "tiny",
)
"""Those that are asked where none are named: small nets that an edge device runs, and two that are known to all."""


class Candidate(Record, frozen=True, kw_only=True):
    """A backbone: ``name``, and ``weights``, a file or ``DEFAULT``."""

    name: str
    weights: str = "DEFAULT"

    @property
    def options(self) -> str:
        """What names it on the command line.

        >>> Candidate(name="resnet18", weights="from the lab.pth").options
        "--model resnet18 --weights 'from the lab.pth'"
        """
        weights = "" if self.weights == "DEFAULT" else f" --weights {shlex.quote(self.weights)}"
        return f"--model {self.name}{weights}"


def named(texts: Sequence[str]) -> list[Candidate]:
    """Candidates from ``NAME`` or ``NAME=FILE``; the default ones where none are named.

    Raises
    ------
    InputError : a name is not known, or comes twice with the same weights.

    >>> [one.weights for one in named(["tiny", "resnet18=city.safetensors"])]
    ['DEFAULT', 'city.safetensors']
    """
    found = [_named(text) for text in texts] or [Candidate(name=name) for name in DEFAULT]
    twice = next((one for one in found if found.count(one) > 1), None)
    if twice is not None:
        raise InputError(f"{twice.name} is named twice", hint="once each")
    return found


def _named(text: str) -> Candidate:
    name, _, file = text.partition("=")
    models.find(name)
    return Candidate(name=name, weights=file or "DEFAULT")


def called(candidates: Sequence[Candidate]) -> Mapping[str, Candidate]:
    """Candidates by a short name: the backbone's, with the file where two share it."""
    names = [one.name for one in candidates]
    return {
        one.name if names.count(one.name) == 1 else f"{one.name}={one.weights}": one for one in candidates
    }
