"""Where artifacts are kept, and CUDA and TensorRT's headers are.

A module of its own: the command line asks before it loads anything else.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder", "cuda_folder", "tensorrt_headers"]


def cache_folder() -> Path:
    """``EDGETL_CACHE``, else the user's cache folder."""
    named = os.environ.get("EDGETL_CACHE", "")
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_cache_dir("edgetl", appauthor=False))


def cuda_folder() -> Path | None:
    """``CUDA_HOME``, else ``CUDA_PATH``: of the toolkit that this machine's programs are to use; ``None`` without."""
    named = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    return Path(named) if named else None


def tensorrt_headers() -> Path | None:
    """The folder of ``NvInfer.h`` that ``TENSORRT_INCLUDE`` names, the first of several; ``None`` without."""
    named = os.environ.get("TENSORRT_INCLUDE", "").partition(os.pathsep)[0]
    return Path(named) if named else None
