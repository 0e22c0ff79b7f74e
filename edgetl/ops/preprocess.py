"""The fused camera preprocessor: colour, crop, halving and resize of a frame in one launch, into an engine's input.

``reference`` is its twin in numpy. ``kernels/README.md`` has the algorithm, ``edgetl_preprocess.h`` the C ABI.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from edgetl.errors import BackendError, EdgetlError, InputError
from edgetl.ops import frames
from edgetl.ops.device import Device, DeviceArray, check_end, read
from edgetl.ops.frames import MATRICES, RANGES, Frame, Pixels
from edgetl.types import Preprocess

__all__ = [
    "FusedPreprocess",
    "PreprocessArgs",
    "PreprocessFunctions",
    "Resize",
    "check",
    "reference",
]

Image = npt.NDArray[np.uint8]

MAX_SIDE = 1 << 15
"""EDGETL_PREPROCESS_MAX_SIDE of edgetl_preprocess.h."""
FORMATS = {"nv12": 0, "bgr": 1, "rgb": 2}
"""``edgetl_format``."""
LAUNCH_FAILED = 9
"""Of ``edgetl_status``."""
MAX_INT32, MAX_INT64 = (1 << 31) - 1, (1 << 63) - 1


class PreprocessArgs(ctypes.Structure):
    """``edgetl_preprocess_args`` of ``edgetl_preprocess.h``, field by field."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("pixels", "chroma", "input")),
        *((name, ctypes.c_int64) for name in ("pixel_pitch", "chroma_pitch")),
        *((name, ctypes.c_int32) for name in ("height", "width", "input_height", "input_width")),
        *((name, ctypes.c_int32) for name in ("crop_numerator", "crop_denominator")),
        *((name, ctypes.c_int32) for name in ("format", "input_format", "matrix", "range")),
    ]


class PreprocessFunctions(NamedTuple):
    """The preprocessor's function of ``edgetl_preprocess.h``, and a status as text.

    Attributes
    ----------
    launch : of arguments and a stream; answers with an ``edgetl_status``. text : of a status.
    """

    launch: Callable[[Any, Any], int]
    text: Callable[[int], bytes]

    @classmethod
    def of(cls, functions: ctypes.CDLL) -> PreprocessFunctions:
        """Those of a library that was loaded."""
        functions.edgetl_status_text.restype = ctypes.c_char_p
        return cls(functions.edgetl_preprocess_launch, functions.edgetl_status_text)


class FusedPreprocess:
    """Frames into one engine's input, on a GPU.

    Parameters
    ----------
    functions : of a library for this GPU. device : where it runs.
    preprocess : size, crop and colour order of the engine's input.
    stream : address of the stream of every launch; 0 is the default one.
    """

    def __init__(
        self, functions: PreprocessFunctions, device: Device, preprocess: Preprocess, *, stream: int = 0
    ) -> None:
        self._functions = functions
        self._device = device
        self._preprocess = preprocess
        self._stream = ctypes.c_void_p(stream)

    def bind(self, frame: Frame, out: object) -> Callable[[], None]:
        """A launch on these arrays, which are checked here, once, and kept.

        Parameters
        ----------
        frame : of GPU arrays, the pixels of a row without a gap.
        out : uint8 (height, width, 3), or with a batch of 1 in front, on the GPU, contiguous; where to write.

        Returns
        -------
        A call that puts one launch on the stream and returns at once; it neither checks nor allocates.

        Raises
        ------
        InputError : of each array that does not fit, in one line.
        """
        found = self._find(frame)
        check(found, self._preprocess)
        args = PreprocessArgs(**self._of_frame(found), **self._of_input(out))
        for name, plane in _planes(found).items():
            check_end(self._device, name, plane)
        return partial(self._launch, args, (frame, out))

    def _launch(self, args: PreprocessArgs, kept: object) -> None:
        """``kept`` is what the arguments point into."""
        with self._device.current():
            code = self._functions.launch(ctypes.byref(args), self._stream)
        if code:
            raise self._refusal(code)

    def _find(self, frame: Frame) -> Frame:
        """The frame with its arrays looked up."""
        frames.check_kind(frame)
        if isinstance(frame, Pixels):
            return replace(frame, array=read(self._device, "the frame", frame.array))
        return replace(
            frame,
            luma=read(self._device, "luma", frame.luma),
            chroma=read(self._device, "chroma", frame.chroma),
        )

    def _of_frame(self, frame: Frame) -> Mapping[str, int]:
        if isinstance(frame, Pixels):
            height, width = frame.array.shape[:2]
            return {
                "pixels": frame.array.address,
                "pixel_pitch": _pitch("the frame", frame.array),
                "height": height,
                "width": width,
                "format": FORMATS[frame.color],
            }
        height, width = frame.luma.shape
        return {
            "pixels": frame.luma.address,
            "chroma": frame.chroma.address,
            "pixel_pitch": _pitch("luma", frame.luma),
            "chroma_pitch": _pitch("chroma", frame.chroma),
            "height": height,
            "width": width,
            "format": FORMATS["nv12"],
            "matrix": MATRICES[frame.matrix],
            "range": RANGES[frame.range],
        }

    def _of_input(self, out: object) -> Mapping[str, int]:
        wanted = self._preprocess
        found = read(self._device, "out", out, dense=True, writes=True)
        shape = (wanted.height, wanted.width, 3)
        if found.dtype != np.uint8 or found.shape not in (shape, (1, *shape)):
            raise InputError(
                f"out is {found.dtype} {found.shape}; the engine's input is uint8 {shape}",
                hint="allocate it for this engine",
            )
        check_end(self._device, "out", found)
        return {
            "input": found.address,
            "input_height": wanted.height,
            "input_width": wanted.width,
            "input_format": FORMATS[wanted.color],
            "crop_numerator": wanted.crop[0],
            "crop_denominator": wanted.crop[1],
        }

    def _refusal(self, code: int) -> EdgetlError:
        words = self._functions.text(code).decode()
        if code == LAUNCH_FAILED:
            return BackendError(
                f"the preprocessor did not start: {words}",
                hint="the driver must serve the CUDA that the library was compiled with: nvidia-smi names it",
                vendor=words,
            )
        return InputError(
            f"the preprocessor refused its arguments: {words}",
            hint="edgetl_preprocess.h has the limits",
            status=code,
        )


class Resize(Protocol):
    """The resize rule, ``edgetl.runtime.preprocess.apply_numpy``."""

    def __call__(self, frame: npt.NDArray[Any], preprocess: Preprocess, *, swap: bool) -> Image:
        """Crop and resize; ``swap`` reverses the channels."""


def reference(frame: Frame, preprocess: Preprocess, resize: Resize) -> Image:
    """The same in numpy, byte for byte: ``frames.to_rgb``, then the resize rule.

    Parameters
    ----------
    frame : of numpy arrays. preprocess : size, crop and colour order of the engine's input.
    resize : ``edgetl.runtime.preprocess.apply_numpy``, or ``apply``, which gives the same bytes.

    Returns
    -------
    uint8 (height, width, 3).

    Raises
    ------
    InputError : what the kernel refuses.
    """
    check(frame, preprocess)
    return resize(frames.to_rgb(frame), preprocess, swap=preprocess.color == "bgr")


def check(frame: Frame, preprocess: Preprocess) -> None:
    """Refuse what no input can be made of.

    Parameters
    ----------
    frame : of numpy's arrays, or of those that ``edgetl.ops.device.read`` found.

    Raises
    ------
    InputError : a dtype, a shape, a size or the crop, with what is taken instead.
    """
    sizes = {"a frame": frames.check(frame), "an input": (preprocess.height, preprocess.width)}
    for what, sides in sizes.items():
        if not all(1 <= side <= MAX_SIDE for side in sides):
            raise InputError(
                f"{what} of {sides[0]} x {sides[1]} pixels: each side is from 1 to {MAX_SIDE}",
                hint="edgetl.runtime.preprocess takes any size, on the CPU",
            )
    numerator, denominator = preprocess.crop
    if not 1 <= numerator <= denominator <= MAX_INT32:
        raise InputError(
            f"crop {numerator}/{denominator} is not a fraction above 0 and at most 1, in 32 bits",
            hint="(1, 1) keeps the whole centre square",
        )


def _planes(frame: Frame) -> Mapping[str, DeviceArray]:
    """A frame's arrays, by what errors call them."""
    if isinstance(frame, Pixels):
        return {"the frame": frame.array}
    return {"luma": frame.luma, "chroma": frame.chroma}


def _pitch(name: str, array: DeviceArray) -> int:
    """Bytes from row to row, where the pixels of a row lie side by side."""
    row = int(np.prod(array.shape[1:], dtype=np.int64))
    inner = zip(array.strides[1:], (row // array.shape[1], 1), array.shape[1:])
    if any(step != dense for step, dense, size in inner if size > 1):
        raise InputError(
            f"{name} has strides of {array.strides} bytes for {array.shape}: the pixels of a row lie side by side",
            hint="pass a copy; gaps may be between rows alone",
        )
    pitch = array.strides[0] if array.shape[0] > 1 else row
    if not row <= pitch <= MAX_INT64 // array.shape[0]:
        raise InputError(
            f"{name} has a pitch of {pitch} bytes for rows of {row}: it is at least a row, and fits 64 bits",
            hint="the pitch is in bytes, not in pixels",
        )
    return pitch
