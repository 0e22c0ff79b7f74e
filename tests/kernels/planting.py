"""Faults planted in a copy of the kernels, and the tests of a kernel run on that copy."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.kernels.on_host import KERNELS

__all__ = ["Fault", "copied", "outcome", "plant"]

ROOT = KERNELS.parent
PARTS = ("kernels", "tests/kernels", "tests/ops")

Fault = tuple[str, str, str]
"""The part of a header's name behind the kernel's, what stands there once, and what is planted instead."""


def copied(place: Path) -> Path:
    """The kernels and all that their tests import, in an empty folder."""
    for part in PARTS:
        shutil.copytree(ROOT / part, place / part)
    shutil.copy(ROOT / "pyproject.toml", place)
    return place


def plant(include: Path, kernel: str, fault: Fault) -> None:
    """Change one of a kernel's headers."""
    part, right, wrong = fault
    source = include / f"edgetl_{kernel}_{part}.h"
    text = source.read_text()
    assert text.count(right) == 1
    source.write_text(text.replace(right, wrong))


def outcome(copy: Path, kernel: str) -> subprocess.CompletedProcess[str]:
    """The fast tests of a kernel on a copy, in a process that a sanitizer may end."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not slow"]
    return subprocess.run(
        [*command, f"tests/kernels/test_{kernel}.py"],
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
