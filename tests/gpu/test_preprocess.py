"""The fused preprocessor on a GPU: its twin's bytes, its memory, and what compute-sanitizer says of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgetl.ops.device import OnDevice
from edgetl.ops.frames import Frame, Pixels
from edgetl.ops.library import Library
from edgetl.ops.on_cuda import CudaDevice
from edgetl.ops.preprocess import FusedPreprocess, PreprocessFunctions
from edgetl.types import Preprocess
from tests.gpu.conftest import SANITIZERS, assert_leaves_memory, assert_sanitized
from tests.kernels.preprocess_on_host import KINDS, Image, camera_frame, expected, random_frame, rule

FRAMES = 48


@pytest.fixture(scope="module")
def functions(kernels: Library) -> PreprocessFunctions:
    """Of the kernels for it."""
    return PreprocessFunctions.of(kernels.functions)


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
    frame, wanted = random_frame(np.random.default_rng(2), 1080, 1920, KINDS[0]), rule(224)
    assert_leaves_memory(device, lambda: launched(functions, device, frame, wanted))


@pytest.mark.slow
@pytest.mark.parametrize("tool", SANITIZERS)
def test_compute_sanitizer_finds_nothing(functions: PreprocessFunctions, tool: str) -> None:
    """Under it are the small inputs."""
    assert_sanitized(tool, Path(__file__), "small_inputs")
