"""Every kind of picture becomes the same thing: uint8 RGB, upright."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgetl.data.decode import load_images, read_header, read_image
from edgetl.errors import InputError
from tests.data.pictures import Image, scene

PICTURE = scene(1)


def png(image: object) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()  # type: ignore[call-overload, no-any-return]


def test_channels_are_red_green_blue() -> None:
    assert np.array_equal(read_image(png(PICTURE[..., ::-1])), PICTURE)


def test_sixteen_bits_are_brought_to_eight() -> None:
    deep = PICTURE[..., ::-1].astype(np.uint16) * 257
    assert np.array_equal(read_image(png(deep)), PICTURE)
    header = read_header(png(deep))
    assert header is not None
    assert "16-bit" in header.mode


def test_grey_is_repeated_and_alpha_is_dropped() -> None:
    grey = read_image(png(PICTURE[..., 0]))
    assert np.array_equal(grey, np.repeat(PICTURE[..., :1], 3, axis=2))
    alpha = np.dstack([PICTURE[..., ::-1], np.full(PICTURE.shape[:2], 7, np.uint8)])
    assert np.array_equal(read_image(png(alpha)), PICTURE)


def pillow(image: Image, kind: str, mode: str, **options: object) -> bytes:
    pil = pytest.importorskip("PIL.Image")
    buffer = io.BytesIO()
    pil.fromarray(image).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_palette_with_transparency() -> None:
    data = pillow(PICTURE, "PNG", "P", transparency=0)
    header = read_header(data)
    assert header is not None
    assert header.mode == "palette with alpha"
    pil = pytest.importorskip("PIL.Image")
    assert np.array_equal(read_image(data), np.asarray(pil.open(io.BytesIO(data)).convert("RGB")))


def test_cmyk_jpeg_is_the_same_picture() -> None:
    data = pillow(PICTURE, "JPEG", "CMYK", quality=95)
    header = read_header(data)
    assert header is not None
    assert header.mode == "CMYK"
    assert np.abs(read_image(data).astype(int) - PICTURE).mean() < 4


def test_exif_rotation_is_applied() -> None:
    pil = pytest.importorskip("PIL.Image")
    wide = PICTURE[:48]
    exif = pil.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise to see it upright
    data = pillow(wide, "JPEG", "RGB", quality=95, exif=exif.tobytes())
    upright = read_image(data)
    assert upright.shape == (96, 48, 3)
    assert np.abs(upright.astype(int) - np.rot90(wide, -1)).mean() < 4


@pytest.mark.parametrize("kind", [".jpg", ".png"])
def test_a_file_that_is_cut_anywhere_is_never_a_picture(kind: str) -> None:
    whole = cv2.imencode(kind, PICTURE)[1].tobytes()
    for share in (0.0, 0.01, 0.1, 0.5, 0.9, 0.99):
        with pytest.raises(InputError):
            read_image(whole[: int(share * len(whole))], "cut")


def test_text_is_no_picture() -> None:
    with pytest.raises(InputError, match="not a picture"):
        read_image(b"this is not a picture", "text.jpg")


def bomb(side: int) -> bytes:
    """A PNG whose header promises side x side pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_a_bomb_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    def decoded(*_: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(cv2, "imdecode", decoded)
    with pytest.raises(InputError, match="30000 x 30000"):
        read_image(bomb(30_000), "bomb.png")


def test_pictures_come_in_the_order_that_was_asked(tmp_path: Path) -> None:
    names = [f"{n}.png" for n in range(20)]
    for number, name in enumerate(names):
        cv2.imwrite(str(tmp_path / name), np.full((4, 4, 3), number, np.uint8))
    found = [int(value) for value in load_images(tmp_path, names[::-1], lambda image: image[0, 0, 0])]
    assert found == list(range(20))[::-1]
