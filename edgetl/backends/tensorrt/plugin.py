"""The library of the fused head: where a build takes it from, and that an engine brings the one it was built with."""

from __future__ import annotations

import mmap
import shutil
from pathlib import Path

from edgetl import digest
from edgetl.errors import BackendError, EnvironmentLacks, InputError
from edgetl.types import Engine

__all__ = ["DIGEST", "LIBRARY", "OPERATOR", "VERSION", "find", "is_needed", "keep", "trusted"]

LIBRARY = "libedgetl_plugin.so"
OPERATOR, VERSION = "EdgetlFusedHead", "1"
"""As ``kernels/plugin/head_call.h`` has them."""
DIGEST = "plugin_sha256"
"""Key of ``Engine.config``."""
MEND = (
    "make kernels TENSORRT_INCLUDE=DIR builds it where nvcc and TensorRT's headers are; "
    "--backend-option staticPlugins=FILE says where it is; the model without .fused in its name needs none"
)


def is_needed(model: Path) -> bool:
    """Whether an ONNX file has a fused head: the name of its operator is in it, byte for byte."""
    with model.open("rb") as file:
        if not model.stat().st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
            return held.find(OPERATOR.encode()) >= 0


def find(asked: str, kernels: Path) -> Path:
    """The library to build with.

    Parameters
    ----------
    asked : what the option ``staticPlugins`` says; empty where it is not given.
    kernels : the folder of the cache that it is looked for in then.

    Raises
    ------
    EnvironmentLacks : it is not there.
    """
    place = Path(asked) if asked else kernels / LIBRARY
    if not place.is_file():
        where = asked or f"{kernels.name}/{LIBRARY} of edgetl's cache"
        raise EnvironmentLacks(f"a fused head runs in {LIBRARY}, and there is no {where}", hint=MEND)
    return place.absolute()


def keep(library: Path, folder: Path) -> dict[str, str]:
    """Put the library beside the plan that was built with it; what the engine's record says of it."""
    shutil.copyfile(library, folder / LIBRARY)
    return {DIGEST: digest.of_file(folder / LIBRARY)}


def trusted(engine: Engine, folder: Path) -> Path | None:
    """The library that an engine brings, once its digest is the record's; ``None`` where it needs none.

    Raises
    ------
    BackendError : a byte differs. InputError : it is not among the engine's files.
    """
    expected = engine.config.get(DIGEST)
    if expected is None:
        return None
    if LIBRARY not in engine.files:
        raise InputError(f"the engine's record names no {LIBRARY}, which it needs", hint="build it again")
    found = digest.of_file(folder / LIBRARY)
    if found != expected:
        raise BackendError(
            f"{LIBRARY} is not what the engine was built with: its sha256 is {found[:12]}, "
            f"the record says {expected[:12]}",
            hint="edgetl compile BUNDLE   builds it again on this device",
            found=found,
            expected=expected,
        )
    return folder / LIBRARY
