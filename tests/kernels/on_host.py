"""Compiles a kernel's own sources for the CPU, with fibres for its threads and a sanitizer to watch them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

__all__ = ["HOST", "KERNELS", "compiled"]

ROOT = Path(__file__).parents[2]
KERNELS = ROOT / "kernels"
HOST = Path(__file__).parent / "host"

FLAGS = ("-std=c++17", "-O2", "-fPIC", "-Wall", "-Wextra", "-Werror", "-U_FORTIFY_SOURCE")
"""Fortified jumps refuse to change stacks, which is what fibres do."""


def compiled(place: Path, source: str, *sanitizers: str, include: Path = KERNELS / "include") -> Path:
    """A program of ``host/``, or with a name in ``_on_host`` a library, of these headers under these sanitizers.

    The fibres themselves are not: what they tell one another is no memory of the kernel.
    """
    compiler = shutil.which("g++")
    assert compiler is not None
    common = [compiler, *FLAGS, f"-I{include}"]
    fibres, out = place / "fibres.o", place / Path(source).stem
    watched = [f"-fsanitize={','.join(sanitizers)}", "-fno-sanitize-recover=undefined", "-g1"]
    kind = ["-shared"] if out.name.endswith("_on_host") else ["-O1"]  # that compiles in half the time
    for command in (
        [*common, "-c", "-o", str(fibres), str(HOST / "fibres.cpp")],
        [*common, *watched, *kind, "-o", str(out), str(HOST / source), str(fibres)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return out
