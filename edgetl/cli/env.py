"""What the terminal and its environment want of the command line."""

from __future__ import annotations

import os
import sys

__all__ = ["colour", "interactive"]


def interactive() -> bool:
    """Standard error is a terminal that a bar can move in."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") != "dumb" and "CI" not in os.environ


def colour() -> bool:
    """Colour is wanted: a terminal, and no ``NO_COLOR``."""
    return interactive() and not os.environ.get("NO_COLOR")
