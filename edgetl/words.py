"""Counts and names in messages; nothing here takes time to import."""

from __future__ import annotations

__all__ = ["ADAPTATIONS", "counted"]

ADAPTATIONS = {"adabn": "AdaBN", "coral": "Deep CORAL", "dann": "DANN", "tent": "TENT"}
"""Ways to fit a trained network to frames of another place, and what the field calls them."""


def counted(count: int, noun: str) -> str:
    """A count with its noun.

    >>> counted(1, "layer"), counted(2, "layer")
    ('1 layer', '2 layers')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
