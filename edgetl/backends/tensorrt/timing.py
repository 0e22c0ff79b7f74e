"""TensorRT's timing cache on disk: what kernels took on this GPU, so that the next build need not time them again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from edgetl import digest

if TYPE_CHECKING:
    import tensorrt as trt

__all__ = ["kept", "name_of"]


def name_of(facts: dict[str, str]) -> str:
    """The file's name: timings hold for one GPU, driver, power mode and release."""
    return f"timings-{digest.of_json(facts)[:32]}.bin"


@contextmanager
def kept(config: trt.IBuilderConfig, file: Path | None) -> Iterator[None]:
    """Build with the timings in ``file``, and leave it with what was timed meanwhile; ``None`` keeps nothing.

    The lock is held for the whole build: two builds at a time on one GPU would time each other.
    """
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):
        _load(config, file.read_bytes() if file.exists() else b"")
        yield
        _store(config, file)


def _load(config: trt.IBuilderConfig, known: bytes) -> None:
    """Set a cache; one that the library does not take begins anew."""
    cache = config.create_timing_cache(known)
    if cache is None or not config.set_timing_cache(cache, False):
        config.set_timing_cache(config.create_timing_cache(b""), False)


def _store(config: trt.IBuilderConfig, file: Path) -> None:
    cache = config.get_timing_cache()
    timings = None if cache is None else cache.serialize()
    if timings is None:
        return
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(timings)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
