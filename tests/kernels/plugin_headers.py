"""TensorRT's public headers, where ``TENSORRT_INCLUDE`` names folders of them, and CUDA's beside the compiler."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

__all__ = ["cuda_headers", "headers", "release_of"]


def headers() -> list[Path]:
    """Folders with ``NvInfer.h``, of one release each; skips with a reason where none is named.

    ``EDGETL_REQUIRE=headers`` makes that a failure.
    """
    named = [Path(place) for place in os.environ.get("TENSORRT_INCLUDE", "").split(os.pathsep) if place]
    reason = "TENSORRT_INCLUDE does not name folders with TensorRT's headers (github.com/NVIDIA/TensorRT, include/)"
    if not named and "headers" in os.environ.get("EDGETL_REQUIRE", "").split(","):
        pytest.fail(reason)
    if not named:
        pytest.skip(reason)
    lacking = [place for place in named if not (place / "NvInferVersion.h").is_file()]
    assert not lacking, f"no NvInferVersion.h in {lacking[0]}"
    return named


def release_of(folder: Path) -> tuple[int, int]:
    """Major and minor number that the headers are of."""
    text = (folder / "NvInferVersion.h").read_text(encoding="utf-8")
    numbers = dict(re.findall(r"#define (?:NV_)?(?:TENSORRT|TRT)_(MAJOR|MINOR)(?:_ENTERPRISE)? (\d+)", text))
    return int(numbers["MAJOR"]), int(numbers["MINOR"])


def cuda_headers() -> Path:
    """The folder of ``cuda_runtime_api.h``; skips with a reason where there is none."""
    places = [Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "include", Path("/usr/include")]
    nvcc = shutil.which("nvcc")
    if nvcc is not None:
        places.insert(0, Path(nvcc).resolve().parent.parent / "include")
    for place in places:
        if (place / "cuda_runtime_api.h").is_file():
            return place
    pytest.skip(f"no cuda_runtime_api.h in {', '.join(map(str, places))}: the plugin cannot be compiled")
