"""The backbones that can be named, as data: nothing here builds a network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

from edgetl.errors import InputError, did_you_mean
from edgetl.types import Record

__all__ = ["ModelCard", "cards", "find"]

FACTORY = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")


class ModelCard(Record, kw_only=True):
    """What is known of a backbone without building it.

    Attributes
    ----------
    params : with its own head. gmacs : multiply-adds of one image, in thousands of millions.
    image_size : side of the input its weights were made for, in pixels.
    crop : centre square that its evaluation keeps, as a fraction of the short side.
    mean, std : of its training, where white is 1.0.
    weights : name of the pretrained weights; empty where there are none.
    weights_file : name of the file, as it lies in the download cache; weights_mb : its size.
    licence : of the weights, where it is stated.
    """

    name: str
    params: int
    gmacs: float
    image_size: int
    crop: tuple[int, int] = (7, 8)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    weights: str = ""
    weights_file: str = ""
    weights_mb: float = 0.0
    licence: str = ""


@cache
def cards() -> Mapping[str, ModelCard]:
    """Every card, by name."""
    folder = Path(__file__).parent
    found = msgspec.json.decode((folder / "cards.json").read_bytes(), type=list[ModelCard])
    found.append(msgspec.json.decode((folder / "tiny.json").read_bytes(), type=ModelCard))
    return {card.name: card for card in found}


def find(name: str) -> ModelCard | None:
    """The card of a name; ``None`` for ``timm/NAME`` and ``package.module:factory``, which know themselves.

    Raises
    ------
    InputError : no backbone is called so.
    """
    known = cards()
    if name in known:
        return known[name]
    if name.startswith("timm/") or FACTORY.match(name):
        return None
    raise InputError(
        f"no model {name!r}.{did_you_mean(name, known)}",
        hint="edgetl models   lists them; timm/NAME and package.module:factory also work",
        model=name,
    )
