"""The one place that reads the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import platformdirs

__all__ = ["cache_folder", "colour", "interactive"]


def cache_folder() -> Path:
    """Where artifacts are kept: ``EDGETL_CACHE``, else the user's cache folder."""
    named = os.environ.get("EDGETL_CACHE", "")
    return Path(named) if named else Path(platformdirs.user_cache_dir("edgetl", appauthor=False))


def interactive() -> bool:
    """Standard error is a terminal that a bar can move in."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") != "dumb" and "CI" not in os.environ


def colour() -> bool:
    """Colour is wanted: a terminal, and no ``NO_COLOR``."""
    return interactive() and not os.environ.get("NO_COLOR")
