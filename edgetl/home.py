"""Where artifacts are kept. A module of its own, for the command line asks before it loads anything else."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path:
    """``EDGETL_CACHE``, else the user's cache folder."""
    named = os.environ.get("EDGETL_CACHE", "")
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_cache_dir("edgetl", appauthor=False))
