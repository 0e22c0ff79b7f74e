"""The fused preprocessor compiled for the CPU: frames in awkward memory, their launch, and the rule to follow."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgetl.ops.frames import Frame, Nv12, Pixels
from edgetl.ops.preprocess import FusedPreprocess, PreprocessFunctions, reference
from edgetl.runtime.preprocess import apply_numpy
from edgetl.types import Preprocess
from tests.kernels.head_on_host import Library
from tests.kernels.on_host import compiled
from tests.ops.host_device import HostDevice, Lent

__all__ = [
    "KINDS",
    "Image",
    "camera_frame",
    "compile_for_host",
    "expected",
    "launched",
    "lent",
    "poisoned",
    "random_frame",
    "rule",
]

GUARD = 64
"""Bytes before and behind the output that must be as they were."""
UNTOUCHED = 77
KINDS = (
    *(("nv12", matrix, range_) for matrix in ("bt601", "bt709") for range_ in ("limited", "full")),
    ("bgr", "", ""),
    ("rgb", "", ""),
)
CAMERAS = (
    (1080, 1920),
    (720, 1280),
    (480, 640),
    (600, 800),
    (2160, 3840),
    (288, 352),
    (240, 320),
    (1520, 2688),
)
INPUTS = (224, 160, 96, 64, 256, 299)

Image = npt.NDArray[np.uint8]


def compile_for_host(place: Path) -> Library:
    """The kernel's headers with a CPU's machine under them, under the undefined-behaviour sanitizer."""
    library = ctypes.CDLL(str(compiled(place, "preprocess_on_host.cpp", "undefined")))
    library.edgetl_status_text.restype = ctypes.c_char_p
    library.test_preprocess_args_bytes.restype = ctypes.c_uint64
    return library


def rule(
    height: int,
    width: int | None = None,
    *,
    crop: tuple[int, int] = (1, 1),
    color: Literal["rgb", "bgr"] = "rgb",
) -> Preprocess:
    """What an engine's input asks for; its mean and std are nothing to this kernel."""
    return Preprocess(
        height=height,
        width=height if width is None else width,
        crop=crop,
        color=color,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )


def poisoned(values: Image, gap: int = 0, offset: int = 0, poison: int = 255) -> Image:
    """The same values in rows with a gap behind each, at an offset from a multiple of 16, poison all round."""
    row = int(np.prod(values.shape[1:]))
    pitch = row + gap
    room = np.full(len(values) * pitch + offset + 32, poison, np.uint8)
    start = -room.ctypes.data % 16 + offset
    steps = [int(np.prod(values.shape[axis + 1 :])) for axis in range(1, values.ndim)]
    view = np.lib.stride_tricks.as_strided(room[start:], values.shape, (pitch, *steps))
    view[...] = values
    return view


def random_frame(
    rng: np.random.Generator,
    height: int,
    width: int,
    kind: tuple[str, str, str],
    *,
    gap: int = 0,
    offset: int = 0,
    poison: int = 255,
) -> Frame:
    """Noise, which no rounding error survives unseen: every byte of every plane, each as likely."""

    def noise(*shape: int) -> Image:
        return poisoned(rng.integers(0, 256, shape, dtype=np.uint8), gap, offset, poison)

    format_, matrix, range_ = kind
    if format_ != "nv12":
        return Pixels(noise(height, width, 3), format_)  # type: ignore[arg-type]
    return Nv12(noise(height, width), noise(height // 2, width // 2, 2), matrix, range_)  # type: ignore[arg-type]


def camera_frame(number: int) -> tuple[Frame, Preprocess]:
    """One of the frames of K6: a camera's size or any other, every kind, pitch and crop, an input of a usual size."""
    rng = np.random.default_rng(number)
    kind = KINDS[number % len(KINDS)]
    height, width = (
        CAMERAS[int(rng.integers(len(CAMERAS)))] if number % 2 else rng.integers(16, 1200, 2).tolist()
    )
    if kind[0] == "nv12":
        height, width = height // 2 * 2, width // 2 * 2
    gap = int(rng.choice([0, 0, 1, 2, 32, 64]))
    frame = random_frame(rng, height, width, kind, gap=gap, offset=int(rng.choice([0, 0, 1, 2])))
    side = int(rng.choice(INPUTS))
    crop = ((1, 1), (7, 8), (224, 256))[int(rng.integers(3))]
    return frame, rule(side, crop=crop, color=("rgb", "bgr")[number % 3 == 0])


def expected(frame: Frame, preprocess: Preprocess) -> Image:
    """By numpy alone."""
    return reference(frame, preprocess, apply_numpy)


def launched(
    library: Library, frame: Frame, preprocess: Preprocess, *, order: int = 0, skipped_barrier: int = -1
) -> Image:
    """What a launch leaves in the engine's input; nothing around it is touched."""
    device = HostDevice()
    size = preprocess.height * preprocess.width * 3
    room = np.full(size + 2 * GUARD, UNTOUCHED, np.uint8)
    out = room[GUARD : GUARD + size].reshape(preprocess.height, preprocess.width, 3)
    functions = PreprocessFunctions(
        lambda args, stream: int(library.test_preprocess_launch(args, order, skipped_barrier)),
        library.edgetl_status_text,
    )
    FusedPreprocess(functions, device, preprocess).bind(lent(device, frame), Lent(device, out))()
    assert np.all(room[:GUARD] == UNTOUCHED), "written before its beginning"
    assert np.all(room[-GUARD:] == UNTOUCHED), "written behind its end"
    return out


def lent(device: HostDevice, frame: Frame) -> Frame:
    """The frame's arrays as the device's."""
    if isinstance(frame, Pixels):
        return replace(frame, array=Lent(device, frame.array))
    return replace(frame, luma=Lent(device, frame.luma), chroma=Lent(device, frame.chroma))
