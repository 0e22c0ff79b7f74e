"""The fused preprocessor on a GPU: its twin's bytes, its memory, and what compute-sanitizer says of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgetl.backends.cuda.on_pycuda import PyCudaDriver
from edgetl.errors import EnvironmentLacks
from edgetl.home import cache_folder
from edgetl.ops import library
from edgetl.ops.device import OnDevice
from edgetl.ops.frames import Frame, Pixels
from edgetl.ops.on_cuda import CudaDevice
from edgetl.ops.preprocess import FusedPreprocess, PreprocessFunctions
from edgetl.types import Preprocess
from tests.gpu.conftest import lacking
from tests.kernels.preprocess_on_host import KINDS, Image, camera_frame, expected, random_frame, rule

FRAMES = 48
LOOPS = 200
SLACK_BYTES = 4 << 20
"""What other programs and the driver's own pools may move meanwhile."""


@pytest.fixture(scope="module")
def device(cuda: PyCudaDriver) -> CudaDevice:
    """The GPU."""
    return CudaDevice(cuda)


@pytest.fixture(scope="module")
def functions(device: CudaDevice) -> PreprocessFunctions:
    """Compiled for it."""
    try:
        return PreprocessFunctions.of(library.find(device.capability, cache=cache_folder()).functions)
    except EnvironmentLacks as error:
        lacking(error.problem)
        raise


def launched(functions: PreprocessFunctions, device: CudaDevice, frame: Frame, wanted: Preprocess) -> Image:
    """What a launch leaves in the engine's input, whose bytes were others before; all memory is given back."""
    out = OnDevice(device, np.full((wanted.height, wanted.width, 3), 77, np.uint8))
    names = ("array",) if isinstance(frame, Pixels) else ("luma", "chroma")
    planes = {name: OnDevice(device, getattr(frame, name)) for name in names}
    FusedPreprocess(functions, device, wanted).bind(replace(frame, **planes), out)()  # type: ignore[arg-type]
    found: Image = out.numpy()
    for owned in (out, *planes.values()):
        owned.close()
    return found


@pytest.mark.parametrize("number", range(FRAMES))
def test_frames_of_cameras_are_the_rules_byte_for_byte(
    functions: PreprocessFunctions, device: CudaDevice, number: int
) -> None:
    frame, wanted = camera_frame(number)
    np.testing.assert_array_equal(launched(functions, device, frame, wanted), expected(frame, wanted))


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
@pytest.mark.parametrize("target", [(1, 200), (200, 1), (64, 64), (15, 33)], ids=str)
def test_small_inputs_of_any_shape(
    functions: PreprocessFunctions, device: CudaDevice, kind: tuple[str, str, str], target: tuple[int, int]
) -> None:
    frame, wanted = random_frame(np.random.default_rng(1), 180, 210, kind), rule(*target)
    np.testing.assert_array_equal(launched(functions, device, frame, wanted), expected(frame, wanted))


def test_launches_leave_the_devices_memory_as_it_was(
    functions: PreprocessFunctions, device: CudaDevice
) -> None:
    import pycuda.driver as vendor

    def free() -> int:
        with device.current():
            return int(vendor.mem_get_info()[0])

    frame, wanted = random_frame(np.random.default_rng(2), 1080, 1920, KINDS[0]), rule(224)
    launched(functions, device, frame, wanted)
    before = free()
    for _ in range(LOOPS):
        launched(functions, device, frame, wanted)
    assert before - free() < SLACK_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "synccheck", "initcheck"])
def test_compute_sanitizer_finds_nothing(functions: PreprocessFunctions, tool: str) -> None:
    """Under it are the small inputs, in a process of their own."""
    program = shutil.which("compute-sanitizer") or shutil.which(
        "compute-sanitizer", path="/usr/local/cuda/bin"
    )
    if program is None:
        lacking("no compute-sanitizer on PATH or in the CUDA toolkit")
        return
    command = [program, "--tool", tool, "--error-exitcode", "9", sys.executable, "-m", "pytest", "-q"]
    command += ["-p", "no:cacheprovider", "-k", "small_inputs", str(Path(__file__))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ERROR SUMMARY: 0 errors" in done.stdout + done.stderr or "0 hazards" in done.stdout + done.stderr
