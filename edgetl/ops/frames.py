"""A camera's frame: how its bytes lie, what is refused, and its pixels in numpy."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from edgetl.errors import InputError, did_you_mean
from edgetl.ops.device import check_array

__all__ = ["MATRICES", "RANGES", "Frame", "Nv12", "Pixels", "Surface", "check", "check_kind", "to_rgb"]

Image = npt.NDArray[np.uint8]
Matrix = Literal["bt601", "bt709"]
Range = Literal["limited", "full"]

MATRICES = {"bt601": 0, "bt709": 1}
RANGES = {"limited": 0, "full": 1}
"""``edgetl_matrix`` and ``edgetl_range`` of edgetl_preprocess.h."""
PRIMARIES = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
"""What red and blue are of luma: ITU-R BT.601-7 section 2.5.1, BT.709-6 item 3.2."""
COLOUR_BITS = 16


@dataclass(frozen=True)
class Pixels:
    """A frame of uint8 (H, W, 3), red, green and blue beside one another.

    Parameters
    ----------
    array : of numpy for ``reference``, of a GPU for a launch; rows may have gaps between them.
    color : the order of the channels.

    Raises
    ------
    InputError : there is no such order.
    """

    array: Any
    color: Literal["bgr", "rgb"]

    def __post_init__(self) -> None:
        _choose("color", self.color, ("bgr", "rgb"))


@dataclass(frozen=True)
class Nv12:
    """A frame in two planes, of even height and width.

    How it was made is told by whoever made it, and is not to be seen from its bytes: a wrong matrix shifts colours.

    Parameters
    ----------
    luma : uint8 (H, W). chroma : uint8 (H / 2, W / 2, 2), Cb and Cr of 2 x 2 pixels. Of numpy for ``reference``,
        of a GPU for a launch; rows may have gaps between them.
    matrix : ``bt601`` of most USB cameras and of JPEG, ``bt709`` of most HD video.
    range : ``limited`` has black at 16 and white at 235, ``full`` at 0 and 255 as JPEG has.

    Raises
    ------
    InputError : there is no such matrix or range.
    """

    luma: Any
    chroma: Any
    matrix: Matrix
    range: Range

    def __post_init__(self) -> None:
        _choose("matrix", self.matrix, MATRICES)
        _choose("range", self.range, RANGES)


Frame: TypeAlias = Pixels | Nv12


@dataclass(frozen=True)
class Surface:
    """Bytes at an address of the device, as a decoder or a camera's buffer gives them.

    Parameters
    ----------
    address : ``int(array.gpudata)`` in PyCUDA. shape : of uint8. pitch : bytes from row to row; 0 is no gap.
    """

    address: int
    shape: tuple[int, ...]
    pitch: int = 0

    @property
    def __cuda_array_interface__(self) -> Mapping[str, Any]:
        """Where it is and what it holds, as GPU libraries tell one another."""
        steps = [int(np.prod(self.shape[axis + 1 :], dtype=np.int64)) for axis in range(len(self.shape))]
        strides = (self.pitch or steps[0], *steps[1:])
        return {
            "version": 3,
            "shape": self.shape,
            "typestr": "|u1",
            "data": (self.address, False),
            "strides": strides,
        }


def check(frame: Frame) -> tuple[int, int]:
    """Height and width of a frame whose arrays fit one another.

    Parameters
    ----------
    frame : of numpy's arrays, or of those that ``edgetl.ops.device.read`` found.

    Raises
    ------
    InputError : a dtype, a shape, or an odd side of NV12, with what is taken instead.
    """
    check_kind(frame)
    return _check_nv12(frame) if isinstance(frame, Nv12) else _check_pixels(frame)


def check_kind(frame: object) -> None:
    """Refuse what does not say how its bytes lie.

    Raises
    ------
    InputError : it is no ``Pixels`` and no ``Nv12``.
    """
    if not isinstance(frame, (Pixels, Nv12)):
        raise InputError(
            f"the frame is a {type(frame).__name__}, expected Pixels or Nv12",
            hint='Pixels(array, "bgr"), or Nv12(luma, chroma, matrix, range), of edgetl.ops.frames',
        )


def _check_pixels(frame: Pixels) -> tuple[int, int]:
    check_array("the frame", frame.array)
    shape = frame.array.shape
    if frame.array.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3:
        raise InputError(
            f"the frame is {frame.array.dtype} {shape}, expected uint8 (H, W, 3)",
            hint="pass pixels from 0 to 255; a planar frame is Nv12's",
        )
    return cast(tuple[int, int], shape[:2])


def _check_nv12(frame: Nv12) -> tuple[int, int]:
    check_array("luma", frame.luma)
    check_array("chroma", frame.chroma)
    shape = frame.luma.shape
    if frame.luma.dtype != np.uint8 or len(shape) != 2:
        raise InputError(
            f"luma is {frame.luma.dtype} {shape}, expected uint8 (H, W)", hint="the first plane of NV12"
        )
    height, width = shape
    if height % 2 or width % 2:
        raise InputError(
            f"a frame of NV12 of {height} x {width} pixels: both are even, a pair of Cb and Cr has 2 x 2 pixels",
            hint="pass the frame as it was decoded, or one row and column less",
        )
    halves = (height // 2, width // 2, 2)
    if frame.chroma.dtype != np.uint8 or frame.chroma.shape != halves:
        raise InputError(
            f"chroma is {frame.chroma.dtype} {frame.chroma.shape}, expected uint8 {halves} beside luma {shape}",
            hint="the second plane of NV12, Cb and Cr in turn; I420 has two planes more",
        )
    return height, width


def to_rgb(frame: Frame) -> Image:
    """A frame's pixels as red, green and blue, in integers.

    Each pair of Cb and Cr is that of its 2 x 2 pixels, as if it were sited in their middle (H.273's ChromaLocType 1);
    nothing is interpolated. Video sited to the left (type 0) comes out half a pixel of the frame to the right in
    colour, which n halvings make 2^-(n+1) of a pixel. With Kr, Kb and Kg = 1 - Kr - Kb of the matrix, ``l`` = 255/219,
    ``c`` = 255/224 and black 16 in limited range, 1, 1 and 0 in full range, and every factor rounded to 1/65536::

        R = l (Y - black)                                         + 2 (1 - Kr) c (Cr - 128)
        G = l (Y - black) - 2 (1 - Kb) Kb/Kg c (Cb - 128) - 2 (1 - Kr) Kr/Kg c (Cr - 128)
        B = l (Y - black) + 2 (1 - Kb) c (Cb - 128)

    rounded to the nearest integer, halves up, and limited to 0..255. Sources: ITU-R BT.601-7 sections 2.5.1 to 2.5.3
    and BT.709-6 items 3.2 to 3.4 for limited range, ITU-T H.273 section 8.3 (of BT.601, also T.871 section 7) for full.

    Parameters
    ----------
    frame : of numpy arrays, of shapes and dtypes that ``check`` has passed.

    Returns
    -------
    uint8 (H, W, 3).
    """
    if isinstance(frame, Pixels):
        pixels: Image = frame.array
        return pixels if frame.color == "rgb" else pixels[..., ::-1]
    black, luma, red_cr, green_cb, green_cr, blue_cb = _colours(frame.matrix, frame.range)
    pairs = (frame.chroma.astype(np.int32) - 128).repeat(2, axis=0).repeat(2, axis=1)
    cb, cr = pairs[..., 0], pairs[..., 1]
    grey = (frame.luma.astype(np.int32) - black) * luma + (1 << (COLOUR_BITS - 1))
    planes = (grey + red_cr * cr, grey + green_cb * cb + green_cr * cr, grey + blue_cb * cb)
    result: Image = np.clip(np.stack(planes, axis=-1) >> COLOUR_BITS, 0, 255).astype(np.uint8)
    return result


def _colours(matrix: Matrix, range_: Range) -> tuple[int, ...]:
    """Black, and the factors of ``to_rgb`` in 1/65536: of luma, red's, green's two and blue's."""
    red, blue = PRIMARIES[matrix]
    green = 1 - red - blue
    luma, chroma = (1.0, 1.0) if range_ == "full" else (255 / 219, 255 / 224)
    factors = (
        luma,
        2 * (1 - red) * chroma,
        -2 * (1 - blue) * blue / green * chroma,
        -2 * (1 - red) * red / green * chroma,
        2 * (1 - blue) * chroma,
    )
    return 0 if range_ == "full" else 16, *(round(factor * (1 << COLOUR_BITS)) for factor in factors)


def _choose(name: str, value: object, known: Collection[str]) -> None:
    if value not in list(known):  # a list may be asked about what has no hash
        raise InputError(
            f"{name} {value!r} is not one of {', '.join(known)}.{did_you_mean(str(value), known)}",
            hint="as the camera or the decoder tells it",
        )
