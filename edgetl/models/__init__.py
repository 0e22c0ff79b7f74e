"""The backbones that can be named, as data: nothing here builds a network."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

from edgetl import digest
from edgetl.errors import InputError, did_you_mean
from edgetl.types import Record

__all__ = ["ModelCard", "cards", "code", "find", "look_here", "signature"]

AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")
FACTORY = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")


class ModelCard(Record, frozen=True, kw_only=True):
    """What is known of a backbone without building it.

    Attributes
    ----------
    params : with its own head. gmacs : multiply-adds of one image, in thousands of millions.
    image_size : side of the input its weights were made for, in pixels.
    crop : centre square that its evaluation keeps, as a fraction of the short side.
    mean, std : of its training, where white is 1.0.
    weights : name of the pretrained weights; empty where there are none.
    weights_file : name of the file, as it lies in the download cache; weights_mb : its size.
    licence : of the weights, where it is stated. source : what they were made from, where they ship with the package.
    head : name of its last linear layer. signature : of its other tensors' names and shapes, to recognise a file.
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
    source: str = ""
    head: str = ""
    signature: str = ""


def signature(shapes: Mapping[str, tuple[int, ...]], head: str) -> str:
    """Digest of a network's tensors but its head's, its auxiliary classifiers' and the counters of batch norm.

    >>> body = {"conv.weight": (8, 3, 3, 3)}
    >>> signature({**body, "fc.weight": (5, 8)}, "fc") == signature({**body, "fc.weight": (9, 8)}, "fc")
    True
    """
    ignored = (f"{head}.", *AUXILIARY)
    kept = {
        n: s for n, s in shapes.items() if not n.startswith(ignored) and not n.endswith("num_batches_tracked")
    }
    return digest.of_json(kept)[:16]


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


def look_here() -> None:
    """Let the module of a factory lie beside the data, as with ``python -m``."""
    if "" not in sys.path:
        sys.path.insert(0, "")


def code(factory: str) -> str:
    """Digest of the Python files in the folder of a factory's module, for any of them may shape the network.

    Empty where there is no such module.
    """
    look_here()
    try:
        found = importlib.util.find_spec(factory.partition(":")[0])
    except (ImportError, ValueError):
        return ""
    if found is None or found.origin is None or not found.has_location:
        return ""
    folder = Path(found.origin).parent
    return digest.of_tree(folder, (file.name for file in folder.glob("*.py")))[0]
