"""The resize rule: from a picture of any size to the engine's input, the same bytes everywhere.

The centre square (times the crop fraction, in integers) is cut to a multiple of a power of two, halved by exact
2 x 2 means while it stays at least the target's size, and brought to the target by bilinear interpolation in
8.8 fixed point. OpenCV's ``INTER_AREA`` at exactly 2 x 2 and ``INTER_LINEAR_EXACT`` give the same bytes as the
numpy functions here, which are the definition.
"""

from __future__ import annotations

import threading
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl.errors import InputError
from edgetl.types import Preprocess

__all__ = ["Box", "apply", "apply_numpy", "centre_box", "opencv", "tools"]

Image = npt.NDArray[np.uint8]
Box = tuple[int, int, int]
"""A square of the picture: top, left, side, in pixels."""


@cache
def opencv() -> Any:
    """OpenCV, or ``None`` on a device without it: the numpy twin gives the same bytes, slower.

    It is looked for on the first picture: importing it takes longer than the rest of the runtime together.
    """
    try:
        import cv2
    except ImportError:
        return None
    return cv2


def tools() -> dict[str, str]:
    """What the bytes depend on: nothing but the rule's own version."""
    return {"resize rule": "1"}


def centre_box(height: int, width: int, crop: tuple[int, int]) -> Box:
    """The centre square, times the crop fraction, rounded down."""
    side = max(1, min(height, width) * crop[0] // crop[1])
    return (height - side) // 2, (width - side) // 2, side


def apply(
    frame: npt.NDArray[Any],
    preprocess: Preprocess,
    out: Image | None = None,
    *,
    box: Box | None = None,
    swap: bool = False,
) -> Image:
    """Crop and resize a picture to the engine's input.

    Parameters
    ----------
    frame : uint8 (H, W, 3), any size, any strides, negative ones too.
    preprocess : size and crop of the engine's input.
    out : uint8 (height, width, 3), contiguous; where to write. A new array where it is ``None``.
    box : the square to take; the centre square where it is ``None``.
    swap : reverse the order of the channels (BGR to RGB and back) on the way.

    Returns
    -------
    uint8 (height, width, 3): ``out``, or the new array.

    Raises
    ------
    InputError : the frame is not uint8 (H, W, 3), or empty; ``out`` or ``box`` does not fit.
    """
    cv2 = opencv()
    if cv2 is None:
        return apply_numpy(frame, preprocess, out, box=box, swap=swap)
    image, halvings = _cut(frame, preprocess, box)
    result = _target(preprocess, out)
    for step in range(halvings):
        half = _scratch(step, (image.shape[0] // 2, image.shape[1] // 2, 3))
        image = cv2.resize(image, half.shape[1::-1], dst=half, interpolation=cv2.INTER_AREA)
    if image.shape != result.shape:
        _interpolate(cv2, image, result, swap=swap)
    elif swap:
        cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=result)
    else:
        result[...] = image
    return result


def _interpolate(cv2: Any, image: Image, result: Image, *, swap: bool) -> None:
    """Bilinear, through four channels: OpenCV has vector code for those and not for three, and swaps on the way."""
    four = _scratch("four", (*image.shape[:2], 4))
    resized = _scratch("resized", (*result.shape[:2], 4))
    cv2.cvtColor(image, cv2.COLOR_BGR2RGBA if swap else cv2.COLOR_BGR2BGRA, dst=four)
    cv2.resize(four, result.shape[1::-1], dst=resized, interpolation=cv2.INTER_LINEAR_EXACT)
    cv2.cvtColor(resized, cv2.COLOR_BGRA2BGR, dst=result)


class _Held(threading.local):
    """Arrays of one thread, by step."""

    def __init__(self) -> None:
        self.arrays: dict[int | str, Image] = {}


_held = _Held()


def _scratch(step: int | str, shape: tuple[int, ...]) -> Image:
    """An array of this thread for a step between frame and result.

    Frames of one source have one size, and a fresh array costs its page faults: a third of the first halving.
    """
    array = _held.arrays.get(step)
    if array is None or array.shape != shape:
        array = _held.arrays[step] = np.empty(shape, np.uint8)
    return array


def apply_numpy(
    frame: npt.NDArray[Any],
    preprocess: Preprocess,
    out: Image | None = None,
    *,
    box: Box | None = None,
    swap: bool = False,
) -> Image:
    """The definition of ``apply``, in numpy alone: same parameters, same bytes."""
    image, halvings = _cut(frame, preprocess, box)
    for _ in range(halvings):
        quads = image.astype(np.uint16)
        total = quads[0::2, 0::2] + quads[0::2, 1::2] + quads[1::2, 0::2] + quads[1::2, 1::2]
        image = ((total + 2) >> 2).astype(np.uint8)
    if image.shape[:2] != (preprocess.height, preprocess.width):
        image = _bilinear(image, preprocess.height, preprocess.width)
    result = _target(preprocess, out)
    result[...] = image[..., ::-1] if swap else image
    return result


def _cut(frame: npt.NDArray[Any], preprocess: Preprocess, box: Box | None) -> tuple[Image, int]:
    """The square that the rule starts from, and how often it is halved."""
    if not isinstance(frame, np.ndarray):
        raise InputError(
            f"a frame is {type(frame).__name__}, expected uint8 pixels (height, width, 3)",
            hint="OpenCV gives None for a picture or a stream that it cannot read",
        )
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise InputError(
            f"a frame is {frame.dtype} of shape {frame.shape}, expected uint8 (height, width, 3)",
            hint="pass pixels from 0 to 255; a grey or four-channel picture must be converted to three channels",
        )
    top, left, kept, halvings = _geometry(frame.shape[:2], preprocess, box)
    return frame[top : top + kept, left : left + kept], halvings


@lru_cache  # the frames of a camera have one size, and after an inference Python itself is slow: its code is cold
def _geometry(shape: tuple[int, int], preprocess: Preprocess, box: Box | None) -> tuple[int, int, int, int]:
    """Top, left and side of the square that is halved, and how often."""
    height, width = shape
    top, left, side = centre_box(height, width, preprocess.crop) if box is None else box
    if top < 0 or left < 0 or side < 1 or top + side > height or left + side > width:
        raise InputError(f"the box {(top, left, side)} is not inside a frame of {shape}")
    target = max(preprocess.height, preprocess.width)
    halvings = 0
    while side >> (halvings + 1) >= target:
        halvings += 1
    kept = (side >> halvings) << halvings
    return top + (side - kept) // 2, left + (side - kept) // 2, kept, halvings


def _target(preprocess: Preprocess, out: Image | None) -> Image:
    """Where the result goes; OpenCV would leave a target that it cannot write into as it is, without a word."""
    shape = (preprocess.height, preprocess.width, 3)
    if out is None:
        return np.empty(shape, np.uint8)
    if out.dtype != np.uint8 or out.shape != shape or not out.flags.c_contiguous:
        raise InputError(f"out is {out.dtype} {out.shape}, expected contiguous uint8 {shape}")
    return out


def _axis(source: int, target: int) -> tuple[npt.NDArray[Any], ...]:
    """Neighbours and their weights in 1/256 along one axis."""
    position = (np.arange(target) + 0.5) * (source / target) - 0.5
    low = np.floor(position).astype(int)
    rest = position - low
    rest[low < 0] = 0
    low[low < 0] = 0
    rest[low >= source - 1] = 0
    low[low >= source - 1] = source - 1
    weight = np.rint(rest * 256).astype(np.uint32)
    return low, np.minimum(low + 1, source - 1), 256 - weight, weight


def _bilinear(image: Image, height: int, width: int) -> Image:
    y0, y1, u0, u1 = _axis(image.shape[0], height)
    x0, x1, w0, w1 = _axis(image.shape[1], width)
    wide = image.astype(np.uint32)
    rows = wide[:, x0] * w0[None, :, None] + wide[:, x1] * w1[None, :, None]
    mixed = rows[y0] * u0[:, None, None] + rows[y1] * u1[:, None, None]
    result: Image = ((mixed + 32768) >> 16).astype(np.uint8)
    return result
