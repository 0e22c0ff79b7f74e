"""The one decoder: a file, or its bytes, to uint8 RGB."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from edgetl.data import files
from edgetl.errors import EnvironmentLacks, InputError

__all__ = ["MAX_PIXELS", "Header", "ahead", "load_images", "read_header", "read_image"]

Image = npt.NDArray[np.uint8]
T = TypeVar("T")
U = TypeVar("U")

MAX_PIXELS = 178_956_970
"""More is taken for a decompression bomb: 512 MiB as RGB, the bound that Pillow made customary."""
WORKERS = 2
AHEAD = 8

_PNG_COLOURS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey and alpha", 6: "RGBA"}
_JPEG_COLOURS = {1: "grey", 3: "RGB", 4: "CMYK"}


class Header:
    """What the first bytes of a picture say.

    Attributes
    ----------
    kind : ``jpeg``, ``png``, ``webp``, ``bmp`` or ``gif``. width, height : in pixels. mode : in words.
    """

    def __init__(self, kind: str, width: int, height: int, mode: str) -> None:
        self.kind = kind
        self.width = width
        self.height = height
        self.mode = mode


def read_header(data: bytes) -> Header | None:
    """The header of a picture's bytes, or ``None`` where it is of no kind that is known here."""
    try:
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
            mode = _PNG_COLOURS.get(colour, "unknown") + (" 16-bit" if depth == 16 else "")
            return Header(
                "png", width, height, mode + (" with alpha" if colour == 3 and b"tRNS" in data[:4096] else "")
            )
        if data[:2] == b"\xff\xd8":
            return _jpeg_header(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp_header(data)
        if data[:2] == b"BM":
            width, height = struct.unpack("<ii", data[18:26])
            return Header("bmp", abs(width), abs(height), "RGB")
        if data[:4] == b"GIF8":
            width, height = struct.unpack("<HH", data[6:10])
            return Header("gif", width, height, "palette")
    except struct.error:
        pass  # cut short inside its header: of no kind that can be read
    return None


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and offset of each segment, up to the start of the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        yield marker, at
        if marker == 0xDA:
            return
        at += 2 if 0xD0 <= marker <= 0xD9 else 2 + int(struct.unpack(">H", data[at + 2 : at + 4])[0])


def _jpeg_header(data: bytes) -> Header | None:
    for marker, at in _jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width, parts = struct.unpack(">HHB", data[at + 5 : at + 10])
            return Header("jpeg", width, height, _JPEG_COLOURS.get(parts, f"{parts} channels"))
    return None


def _webp_header(data: bytes) -> Header | None:
    kind = data[12:16]
    if kind == b"VP8X":
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (value & 0x3FFF for value in struct.unpack("<HH", data[26:30]))
    else:
        return None
    return Header("webp", width, height, "RGB")


def read_image(source: Path | bytes, name: str = "") -> Image:
    """Decode a picture: EXIF rotation applied, grey repeated, alpha dropped, 16 bits brought to 8.

    Parameters
    ----------
    source : a file, or its bytes. name : what to call bytes in an error.

    Returns
    -------
    uint8 (H, W, 3), RGB.

    Raises
    ------
    InputError : it cannot be read, is no picture, is cut short, or its header promises too many pixels.
    EnvironmentLacks : OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise EnvironmentLacks(
            "reading picture files takes OpenCV, which is not installed",
            hint="pip install opencv-python-headless; or pass arrays to predict",
        ) from error
    called = name or (str(source) if isinstance(source, Path) else "picture")
    data = _bytes_of(source, called)
    header = read_header(data)
    if header is not None and header.width * header.height > MAX_PIXELS:
        raise InputError(
            f"{called} says it is {header.width} x {header.height}: more than {MAX_PIXELS} pixels is taken for a bomb",
            hint="scale it down first",
            path=called,
        )
    if header is not None and _cut_short(header, data):
        raise InputError(
            f"{called} is truncated: its end is missing", hint="copy it again, or remove it", path=called
        )
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        image = None
    if image is None:
        raise InputError(
            f"{called} is not a picture that can be decoded",
            hint="remove it, or convert it to PNG",
            path=called,
        )
    return np.asarray(image, dtype=np.uint8)


def _bytes_of(source: Path | bytes, called: str) -> bytes:
    if isinstance(source, bytes):
        data = source
    else:
        try:
            data = files.read(source)
        except OSError as error:
            raise InputError(
                f"cannot read {called}: {error.strerror}", hint="check the path", path=called
            ) from error
    if not data:
        raise InputError(f"{called} is empty (0 bytes)", hint="copy it again, or remove it", path=called)
    return data


def _cut_short(header: Header, data: bytes) -> bool:
    """The end marker is missing; decoders fill the rest with grey and say nothing."""
    if (
        header.kind == "jpeg"
    ):  # after the scan's start, for an embedded thumbnail has an end marker of its own
        scan = next((at for marker, at in _jpeg_segments(data) if marker == 0xDA), len(data))
        return data.find(b"\xff\xd9", scan) < 0
    if header.kind == "png":
        return b"IEND" not in data[-4096:]
    return False


def load_images(
    root: Path, paths: Sequence[str], transform: Callable[[Image], Any], *, workers: int = WORKERS
) -> Iterator[Any]:
    """``transform(picture)`` of each file below ``root``, in order, decoded by a few threads ahead of the reader.

    Raises
    ------
    InputError : a file cannot be decoded.
    """

    return ahead(lambda path: transform(read_image(root / path, path)), paths, workers=workers)


def ahead(work: Callable[[T], U], items: Iterable[T], *, workers: int = WORKERS) -> Iterator[U]:
    """``work(item)`` of each, in order, done by a few threads at most ``AHEAD`` items before the reader."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[U]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for job in waiting:
                job.cancel()
