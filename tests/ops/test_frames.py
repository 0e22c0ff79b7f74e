"""Colours of a frame by the standards' own numbers, and what is no frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgetl.errors import InputError
from edgetl.ops.frames import MATRICES, RANGES, Nv12, Pixels, check, to_rgb

BARS = {
    ("bt601", "limited"): {
        (81, 90, 240): (255, 0, 0),
        (145, 54, 34): (0, 255, 0),
        (41, 240, 110): (0, 0, 255),
    },
    ("bt709", "limited"): {
        (63, 102, 240): (255, 0, 0),
        (173, 42, 26): (0, 255, 0),
        (32, 240, 118): (0, 0, 255),
    },
    ("bt601", "full"): {(76, 85, 255): (255, 0, 0), (150, 44, 21): (0, 255, 0), (29, 255, 107): (0, 0, 255)},
}
"""Colour bars of 100 %: Y, Cb and Cr as 8 bits round them."""


def flat(y: int, cb: int, cr: int, matrix: Any, range_: Any) -> Any:
    """The colour of a frame of one."""
    frame = Nv12(np.full((2, 2), y, np.uint8), np.array([[[cb, cr]]], np.uint8), matrix, range_)
    rgb = to_rgb(frame)
    assert np.all(rgb == rgb[0, 0])
    return rgb[0, 0].astype(int)


@pytest.mark.parametrize(("matrix", "range_"), BARS)
def test_colour_bars(matrix: str, range_: str) -> None:
    for (y, cb, cr), wanted in BARS[matrix, range_].items():
        assert np.abs(flat(y, cb, cr, matrix, range_) - wanted).max() <= 2  # what rounding to 8 bits costs


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("range_", RANGES)
def test_grey_stays_grey_from_black_to_white(matrix: str, range_: str) -> None:
    black, white = (0, 255) if range_ == "full" else (16, 235)
    for y in range(256):
        wanted = min(max(int(np.floor((y - black) * 255 / (white - black) + 0.5)), 0), 255)
        assert flat(y, 128, 128, matrix, range_).tolist() == [wanted] * 3


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("range_", RANGES)
def test_integers_are_the_formula_rounded(matrix: Any, range_: Any) -> None:
    """Solved from the standards' definitions of Y, Cb and Cr, by a general solver."""
    red, blue = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}[matrix]
    luma, chroma, black = (255, 255, 0) if range_ == "full" else (219, 224, 16)
    y_of = np.array([red, 1 - red - blue, blue])
    cb_of = (np.array([0, 0, 1]) - y_of) / (2 * (1 - blue))
    cr_of = (np.array([1, 0, 0]) - y_of) / (2 * (1 - red))
    to_ycc = np.stack([y_of * luma, cb_of * chroma, cr_of * chroma]) / 255
    rng = np.random.default_rng(0)
    ycc = rng.integers(0, 256, (3, 40, 50))
    exact = np.clip(
        np.tensordot(np.linalg.inv(to_ycc), ycc - np.reshape([black, 128, 128], (3, 1, 1)), 1), 0, 255
    )
    y, cb, cr = (plane.astype(np.uint8) for plane in ycc)
    frame = Nv12(y.repeat(2, 0).repeat(2, 1), np.stack([cb, cr], axis=-1), matrix, range_)
    found = to_rgb(frame)[::2, ::2].transpose(2, 0, 1)
    assert np.abs(found - exact).max() <= 0.51


def test_opencv_agrees_where_it_has_the_same_matrix() -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is an optional library")
    rng = np.random.default_rng(1)
    luma = rng.integers(16, 256, (60, 80), dtype=np.uint8)  # it takes less than black for black
    chroma = rng.integers(0, 256, (30, 40, 2), dtype=np.uint8)
    theirs = cv2.cvtColor(np.concatenate([luma, chroma.reshape(30, 80)]), cv2.COLOR_YUV2RGB_NV12)
    ours = to_rgb(Nv12(luma, chroma, "bt601", "limited"))
    assert np.abs(ours.astype(int) - theirs).max() <= 2  # its factors have three decimals


def test_pixels_are_turned_to_red_first() -> None:
    frame = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    np.testing.assert_array_equal(to_rgb(Pixels(frame, "rgb")), frame)
    np.testing.assert_array_equal(to_rgb(Pixels(frame, "bgr")), frame[..., ::-1])


def zeros(*shape: int, dtype: Any = np.uint8) -> Any:
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (Pixels(zeros(4, 4, 3, dtype=np.float32), "bgr"), r"float32 \(4, 4, 3\), expected uint8 \(H, W, 3\)"),
        (Pixels(zeros(4, 4), "bgr"), r"\(4, 4\), expected"),
        (Pixels(zeros(3, 4, 4), "rgb"), r"\(3, 4, 4\), expected"),
        (Nv12(zeros(4, 4, dtype=np.int8), zeros(2, 2, 2), "bt601", "full"), "luma is int8"),
        (
            Nv12(zeros(6, 4), zeros(2, 2, 2), "bt601", "full"),
            r"expected uint8 \(3, 2, 2\) beside luma \(6, 4\)",
        ),
        (Nv12(zeros(4, 4), zeros(2, 4), "bt601", "full"), r"chroma is uint8 \(2, 4\)"),
        (Nv12(zeros(4, 5), zeros(2, 2, 2), "bt601", "full"), "4 x 5 pixels: both are even"),
        (Nv12(zeros(5, 4), zeros(2, 2, 2), "bt601", "full"), "5 x 4 pixels: both are even"),
    ],
)
def test_what_is_no_frame_is_refused(frame: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        check(frame)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Pixels(zeros(2, 2, 3), "gbr"),  # type: ignore[arg-type]
        lambda: Nv12(zeros(2, 2), zeros(1, 1, 2), "bt2020", "full"),  # type: ignore[arg-type]
        lambda: Nv12(zeros(2, 2), zeros(1, 1, 2), "bt709", "tv"),  # type: ignore[arg-type]
        lambda: Nv12(zeros(2, 2), zeros(1, 1, 2), None, "full"),  # type: ignore[arg-type]
        lambda: Nv12(zeros(2, 2), zeros(1, 1, 2), "bt709", ["full"]),  # type: ignore[arg-type]
    ],
)
def test_a_word_that_is_not_known_is_refused_with_those_that_are(make: Any) -> None:
    with pytest.raises(InputError, match="is not one of"):
        make()
