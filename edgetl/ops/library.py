"""The compiled kernels: given, kept from an earlier run, or compiled now; loaded when they fit.

``<cache>/kernels/<key>/`` holds the library and ``record.json`` (what the key was made of, the library's digest). It
is written under a temporary name and renamed, under a lock, and verified before it is loaded.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from edgetl import digest
from edgetl.errors import EnvironmentLacks
from edgetl.ops import nvcc
from edgetl.ops.head import HeadFunctions

__all__ = ["ABI", "NAME", "PLUGIN", "Library", "find", "find_plugin", "load", "plugin_told", "sources"]

ABI = 1
"""EDGETL_KERNELS_ABI of edgetl_kernels.h, which the ctypes structs of this package are written for."""
NAME = "libedgetl_kernels.so"
PLUGIN = "libedgetl_plugin.so"
RECORD = "record.json"


@dataclass(frozen=True)
class Library:
    """Kernels that are loaded.

    Attributes
    ----------
    origin : ``given``, ``kept from an earlier run``, or ``compiled``, and by which toolkit.
    functions : by their names in C.
    """

    path: Path
    origin: str
    functions: ctypes.CDLL = field(repr=False)

    @property
    def head(self) -> HeadFunctions:
        """Those of the fused head."""
        return HeadFunctions.of(self.functions)


def sources() -> Path:
    """The folder of CUDA sources: inside the installed package, or beside it in a checkout."""
    shipped = Path(__file__).parents[1] / "kernels"
    return shipped if shipped.is_dir() else Path(__file__).parents[2] / "kernels"


def find(
    capability: str, *, cache: Path, given: Path | None = None, cuda_home: Path | None = None
) -> Library:
    """The kernels for a GPU.

    Parameters
    ----------
    capability : compute capability of the GPU, ``8.7``.
    cache : folder of what was compiled before (``edgetl.home.cache_folder``).
    given : a library whose bytes the caller trusts; then nothing is compiled.
    cuda_home : of the toolkit to compile with; ``edgetl.ops.nvcc.find`` looks for one where it is ``None``.

    Raises
    ------
    EnvironmentLacks : the library given does not fit; or none is given and there is no compiler, or none that
        builds for this GPU, or the cache cannot be written.
    BackendError : the compiler refused the sources.
    """
    if given is not None:
        return load(given, capability, "given")
    compiler = nvcc.find(cuda_home)
    path, was_kept = _kept(
        cache,
        _parts(compiler, capability, "csrc", "include"),
        NAME,
        lambda out: nvcc.compile_library(compiler, sources(), capability, out),
    )
    told = f"nvcc {compiler.version} for compute capability {capability}"
    return load(
        path, capability, f"kept from an earlier run of {told}" if was_kept else f"compiled by {told}"
    )


def find_plugin(
    compiler: nvcc.Compiler, capability: str, headers: Path, release: tuple[int, ...], *, cache: Path
) -> Path:
    """The library of TensorRT's plugin, kept from an earlier run or compiled now for a host like this one.

    Parameters
    ----------
    headers : the folder of ``NvInfer.h``, which is of ``release``.

    Raises
    ------
    EnvironmentLacks : the toolkit does not build for the GPU, or the cache cannot be written.
    BackendError : the compiler refused the sources.
    """
    parts = {**_parts(compiler, capability, "csrc", "include", "plugin"), "tensorrt": list(release)}
    return _kept(
        cache,
        parts,
        PLUGIN,
        lambda out: nvcc.compile_plugin(compiler, sources(), capability, headers, out),
    )[0]


def plugin_told(compiler: nvcc.Compiler, capability: str, release: tuple[int, ...]) -> str:
    """How it came to be, in words."""
    number = ".".join(map(str, release))
    return f"compiled by nvcc {compiler.version} for compute capability {capability}, TensorRT {number}"


def load(path: Path, capability: str, origin: str) -> Library:
    """A library, if it is one of this edgetl's kernels for this GPU.

    Raises
    ------
    EnvironmentLacks : it is not there, does not load, is of another edgetl, or has no code for the GPU.
    """
    mend = "`make kernels` builds it again; without one, nvcc compiles it here"
    try:
        functions = ctypes.CDLL(str(path.absolute()))  # a bare name would be looked for elsewhere
        abi = int(functions.edgetl_kernels_abi())
        functions.edgetl_kernels_architectures.restype = ctypes.c_char_p
        listed = functions.edgetl_kernels_architectures().decode()
    except OSError as error:
        raise EnvironmentLacks(f"{path} does not load: {error}", hint=mend) from error
    except AttributeError as error:
        raise EnvironmentLacks(f"{path} is not a library of edgetl's kernels: {error}", hint=mend) from error
    if abi != ABI:
        raise EnvironmentLacks(
            f"{path} has kernels of ABI {abi}, and this edgetl calls ABI {ABI}",
            hint=mend,
            found=abi,
            expected=ABI,
        )
    built = [nvcc.dotted(int(number) // 10) for number in listed.split(",") if number]
    if built and capability not in built:
        raise EnvironmentLacks(
            f"{path} was built for compute capability {', '.join(built)}; this GPU has {capability}",
            hint=mend,
            capability=capability,
        )
    return Library(path, origin, functions)


def _parts(compiler: nvcc.Compiler, capability: str, *folders: str) -> Mapping[str, Any]:
    """What a compiled library follows from; the options are among the sources, as nvcc.options."""
    folder = sources()
    names = [
        "nvcc.options",
        *(f"{part}/{file.name}" for part in folders for file in (folder / part).iterdir()),
    ]
    return {
        "sources": digest.of_tree(folder, sorted(names))[0],
        "toolkit": compiler.version,
        "capability": capability,
        "machine": platform.machine(),
    }


def _kept(
    cache: Path, parts: Mapping[str, Any], name: str, make: Callable[[Path], None]
) -> tuple[Path, bool]:
    """What ``make`` writes, from an earlier run where every byte of that is there; and whether it was."""
    place = cache / "kernels" / digest.of_json(parts)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{place}.lock"):
            was_kept = _is_whole(place, name)
            if not was_kept:
                _make(place, parts, name, make)
    except OSError as error:
        raise EnvironmentLacks(
            f"cannot keep compiled kernels in {place.parent}: {error.strerror or error}",
            hint="point EDGETL_CACHE at a folder that can be written, on a disk with space",
        ) from error
    return place / name, was_kept


def _make(place: Path, parts: Mapping[str, Any], name: str, make: Callable[[Path], None]) -> None:
    work = place.with_name(f"{place.name}.partial")
    for old in (work, place):  # what a killed run left; what is not whole
        shutil.rmtree(old, ignore_errors=True)
    work.mkdir()
    try:
        make(work / name)
        record = {"parts": parts, "sha256": digest.of_file(work / name)}
        (work / RECORD).write_bytes(digest.canonical_json(record))
        for written in (name, RECORD):
            with (work / written).open("rb") as file:
                os.fsync(file.fileno())
        work.rename(place)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _is_whole(place: Path, name: str) -> bool:
    """Every byte of the library is what was compiled."""
    try:
        recorded = json.loads((place / RECORD).read_bytes())["sha256"]
        return bool(recorded == digest.of_file(place / name))
    except (OSError, ValueError, KeyError, TypeError):
        return False
