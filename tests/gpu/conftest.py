"""What the tests on a GPU share; without one they skip with the reason, or fail where ``EDGETL_REQUIRE`` names gpu."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgetl.backends.cuda import on_pycuda
from edgetl.backends.cuda.on_pycuda import PyCudaDriver
from edgetl.errors import EnvironmentLacks
from edgetl.home import cache_folder
from edgetl.ops import library
from edgetl.ops.library import Library
from edgetl.ops.on_cuda import CudaDevice

LOOPS = 200
SLACK_BYTES = 4 << 20
"""What other programs and the driver's own pools may move meanwhile."""
SANITIZERS = ("memcheck", "racecheck", "synccheck", "initcheck")
AFFINE = Path(__file__).parents[2] / "benchmarks" / "_affine.py"


def lacking(reason: str) -> None:
    """Skip, or fail where a GPU was promised."""
    if "gpu" in os.environ.get("EDGETL_REQUIRE", "").split(","):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def cuda() -> PyCudaDriver:
    """This host's GPU by PyCUDA."""
    try:
        return on_pycuda.find()
    except EnvironmentLacks as error:
        lacking(error.problem)
        raise


@pytest.fixture(scope="session")
def device(cuda: PyCudaDriver) -> CudaDevice:
    """The GPU as the kernels' launchers take it."""
    return CudaDevice(cuda)


@pytest.fixture(scope="session")
def kernels(device: CudaDevice) -> Library:
    """Compiled for it."""
    try:
        return library.find(device.capability, cache=cache_folder())
    except EnvironmentLacks as error:
        lacking(error.problem)
        raise


def assert_leaves_memory(device: CudaDevice, once: Callable[[], object]) -> None:
    """As much of the GPU's memory is free behind many calls as behind one."""
    import pycuda.driver as vendor

    def free() -> int:
        with device.current():
            return int(vendor.mem_get_info()[0])

    once()
    before = free()
    for _ in range(LOOPS):
        once()
    assert before - free() < SLACK_BYTES


def assert_sanitized(tool: str, file: Path, chosen: str) -> None:
    """NVIDIA's sanitizer finds nothing in the chosen tests of a file, which run in a process of their own."""
    program = shutil.which("compute-sanitizer") or shutil.which(
        "compute-sanitizer", path="/usr/local/cuda/bin"
    )
    if program is None:
        lacking("no compute-sanitizer on PATH or in the CUDA toolkit")
        return
    command = [program, "--tool", tool, "--error-exitcode", "9", sys.executable, "-m", "pytest", "-q"]
    command += ["-p", "no:cacheprovider", "-k", chosen, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=file.parents[2])
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "ERROR SUMMARY: 0 errors" in said or "0 hazards" in said


@pytest.fixture(scope="session")
def affine() -> Any:
    """The benchmark's own engine: one kernel that needs no vendor."""
    spec = importlib.util.spec_from_file_location("_affine", AFFINE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
