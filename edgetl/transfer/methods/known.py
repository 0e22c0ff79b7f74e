"""The methods by name, as data: what each reads and needs; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["METHODS", "Known", "menu"]

COMMON = ("epochs", "batch_size", "lr", "flip", "seed")
"""What every training reads of a request."""


@dataclass(frozen=True)
class Known:
    """What the rest of a build has to know of a method.

    Attributes
    ----------
    what : its line of ``--help``. spoken : how the summary calls what it trained.
    reads : fields of the request that shape its result, each a part of the stage's key.
    needs : stages that it reads beside those of every training.
    libraries : whose versions shape its result, beside those of every network.
    """

    what: str
    spoken: str
    reads: tuple[str, ...] = COMMON
    needs: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


METHODS: Mapping[str, Known] = {
    "feature": Known("trains a head on frozen features", "feature method"),
    "full": Known("trains all weights", "all weights"),
}


def menu() -> str:
    """One phrase a method, for the help.

    >>> menu().partition(";")[0]
    'feature trains a head on frozen features'
    """
    return "; ".join(f"{name} {known.what}" for name, known in METHODS.items())
