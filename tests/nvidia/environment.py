"""Where a child finds one release of NVIDIA's Python bindings, and the stand-in that they load.

Nothing of NVIDIA's is kept in the project: wheels come from the package index into ``build/nvidia/``, which git
does not see and ``make clean`` empties.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.nvidia.generate import interfaces

__all__ = ["LEAN", "RELEASES", "Release", "bindings", "renamed", "standin"]

ROOT = Path(__file__).parent.parent.parent
BUILT = ROOT / "build" / "nvidia"
SOURCES = Path(__file__).parent / "standin"
LIBRARIES = ("nvinfer", "nvonnxparser", "nvparsers", "nvinfer_plugin")
"""All that the bindings of some release link to; all symbols are in the first."""
KNOWN = "msgspec"
"""A package that edgetl needs anyway, so that an index that answers has it."""


@dataclass(frozen=True)
class Release:
    """One release of TensorRT: what to install, and which interfaces it speaks."""

    version: str
    packages: tuple[str, ...]
    newest_python: tuple[int, int] = (3, 13)

    @property
    def major(self) -> str:
        """``8``, ``10`` or ``11``."""
        return self.version.partition(".")[0]


RELEASES = {
    release.version: release
    for release in (
        Release("8.6.1", ("tensorrt-bindings",), newest_python=(3, 11)),
        Release("10.3.0", ("tensorrt-cu12-bindings",), newest_python=(3, 12)),
        Release("10.13.3.9", ("tensorrt-cu12-bindings",)),
        Release("10.16.1.11", ("tensorrt-cu12-bindings",)),
        Release("11.4.0.106", ("tensorrt-cu13-bindings",)),
    )
}
LEAN = Release("11.4.0.106", ("tensorrt-lean-cu13-bindings", "tensorrt-lean-cu13-libs"))
"""The one release whose library, too, comes as a wheel: it opens engines, and builds none."""


def bindings(release: Release, env: Mapping[str, str]) -> Path:
    """A folder to import a release's genuine bindings from; skips where they cannot be had.

    ``EDGETL_REQUIRE=index`` makes that a failure.

    Parameters
    ----------
    env : the environment of pip, which may reach the index.
    """
    machine, python = f"{sys.platform} {platform.machine()}", sys.version_info[:2]
    if machine != "linux x86_64" or python > release.newest_python:
        pytest.skip(
            f"NVIDIA has no bindings of {release.version} for {machine}, Python {python[0]}.{python[1]}"
        )
    folder = BUILT / f"{release.packages[0]}-{release.version}-{sys.implementation.cache_tag}"
    if folder.is_dir():
        return folder
    partial = _fresh(folder)
    wanted = [f"{package}=={release.version}" for package in release.packages]
    lacks = _index_lacks(frozenset(env.items())) or _pip(
        env, "install", "--no-deps", "--no-compile", "--target", str(partial), *wanted
    )
    if lacks and "index" in os.environ.get("EDGETL_REQUIRE", "").split(","):
        pytest.fail(lacks)
    if lacks:
        pytest.skip(lacks)
    partial.rename(folder)
    return folder


@cache
def _index_lacks(env: frozenset[tuple[str, str]]) -> str:
    """Asked once: where there is no index, pip takes its time to say so."""
    with tempfile.TemporaryDirectory() as scratch:
        return _pip(dict(env), "download", "--no-deps", "--dest", scratch, KNOWN)


def _pip(env: Mapping[str, str], *words: str) -> str:
    """Why pip does not give what is wanted; empty where it does."""
    patience = ["--retries", "2", "--timeout", "30"]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *patience, *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600, check=False)
    said = done.stderr.strip().splitlines() or ["it says nothing"]
    return f"pip does not give {words[-1]}: {said[-1]}" if done.returncode else ""


def _fresh(folder: Path) -> Path:
    """Where a folder is made before it gets its name, so that half of one is never taken for it."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial


def standin(major: str) -> Path:
    """The stand-in of a major release, compiled; skips without a compiler.

    The folder holds the libraries, the driver, ``tensorrt_libs`` (which the bindings import to find them) and
    ``tensorrt`` (which is the bindings under the name that programs import).
    """
    if shutil.which("g++") is None:
        pytest.skip("no g++ to compile the stand-in with")
    generated = interfaces(major)
    parts = [generated.encode(), *(file.read_bytes() for file in sorted(SOURCES.iterdir()))]
    folder = BUILT / f"standin-{major}-{hashlib.sha256(b''.join(parts)).hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    partial = _fresh(folder)
    (partial / "interfaces.hpp").write_text(generated, encoding="utf-8")
    sonames = [f"lib{name}.so.{major}" for name in LIBRARIES]
    recorder = str(SOURCES / "recorder.cpp")
    _compile(partial, sonames[0], f"-DMAJOR={major}", f"-I{partial}", str(SOURCES / "library.cpp"), recorder)
    _compile(partial, "libcuda.so.1", str(SOURCES / "driver.cpp"), recorder)
    for soname in sonames[1:]:
        _compile(partial, soname, "-xc++", "/dev/null")
    _package(partial, "tensorrt_libs", LOAD.format(names=sonames))
    renamed(partial, "tensorrt_bindings")
    partial.rename(folder)
    return folder


def renamed(folder: Path, module: str) -> Path:
    """Make a module of NVIDIA's importable from ``folder`` as ``tensorrt``, which is what programs import."""
    _package(folder, "tensorrt", RENAMED.format(module=module))
    return folder


def _compile(folder: Path, soname: str, *words: str) -> None:
    out = ["-o", str(folder / soname), f"-Wl,-soname,{soname}"]
    command = ["g++", "-std=c++17", "-O0", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *out, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def _package(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(text, encoding="utf-8")


LOAD = """\
import ctypes, pathlib
for name in {names}:
    ctypes.CDLL(str(pathlib.Path(__file__).parent.parent / name))
"""
RENAMED = """\
from {module} import *
from {module} import __version__
"""
