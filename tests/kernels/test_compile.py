"""The kernel through nvcc: no warning, no spill, wide loads. Nothing here runs on a GPU."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kernels.head_on_host import KERNELS

NVCC = ("-std=c++17", "-O3", "-Werror", "all-warnings", "-Xcompiler=-Wall,-Wextra,-Werror", "-Xptxas=-v")
KERNELS_IN_FILE = 4
"""One or four images a block, weights of FP32 or FP16."""

ORIN, ADA = "87", "89"
"""Compute capabilities."""


def compiled(nvcc: str, capability: str, place: Path) -> tuple[str, str]:
    """What nvcc said, and the PTX that it made on the way."""
    out = place / "fused_head.cubin"
    source = KERNELS / "csrc" / "fused_head.cu"
    command = [
        nvcc,
        *NVCC,
        f"-arch=sm_{capability}",
        f"-I{KERNELS / 'include'}",
        "-keep",
        "-keep-dir",
        str(place),
    ]
    done = subprocess.run(
        [*command, "-cubin", "-o", str(out), str(source)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert out.stat().st_size > 0
    return done.stdout + done.stderr, (place / "fused_head.ptx").read_text()


@pytest.fixture(scope="session")
def nvcc() -> str:
    """The compiler; skips with a reason without one."""
    found = shutil.which("nvcc")
    if found is None:
        pytest.skip("no nvcc on PATH: the kernel cannot be compiled for a GPU")
    return found


@pytest.mark.parametrize("capability", [ORIN, pytest.param(ADA, marks=pytest.mark.slow)])
def test_no_warning_no_spill_and_wide_loads(nvcc: str, capability: str, tmp_path: Path) -> None:
    said, ptx = compiled(nvcc, capability, tmp_path)
    spills = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", said)
    assert spills == [("0", "0")] * KERNELS_IN_FILE
    assert len(re.findall(r"ld\.global\.v4\.[fu]32", ptx)) >= KERNELS_IN_FILE
    assert len(re.findall(r"ld\.shared\.v4\.f32", ptx)) >= KERNELS_IN_FILE
    assert not re.search(r"(?:ld|st)\.local", ptx)
