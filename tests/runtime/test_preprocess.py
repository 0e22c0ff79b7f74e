"""The resize rule: the same bytes from OpenCV and from numpy, today and next year."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl import digest
from edgetl.errors import InputError
from edgetl.runtime import preprocess
from edgetl.runtime.preprocess import apply, apply_numpy, centre_box
from edgetl.types import Preprocess

Image = npt.NDArray[np.uint8]
FEW = settings(max_examples=60, deadline=None)


def rule(height: int, width: int | None = None, crop: tuple[int, int] = (1, 1)) -> Preprocess:
    zeros = (0.0, 0.0, 0.0)
    return Preprocess(height=height, width=width or height, crop=crop, mean=zeros, std=(1.0, 1.0, 1.0))


def ramp(height: int, width: int) -> Image:
    """A picture that needs no random numbers: every position has bytes of its own."""
    y, x, c = np.ogrid[:height, :width, :3]
    return np.asarray((y * 7 + x * 13 + c * 91 + (y * x >> 3)) % 256, np.uint8)


GOLDEN = {
    (1080, 1920, 224, (1, 1)): "74c42b8b86f980a8",
    (720, 1280, 224, (7, 8)): "e7a31eadb719a831",
    (480, 640, 160, (224, 256)): "7f9f3293a1ed77cb",
    (224, 224, 224, (1, 1)): "1a78560b4d52970a",
    (100, 60, 224, (1, 1)): "aa81b6632d9c0b5a",
    (1, 1, 32, (1, 1)): "540789ceaed9905f",
}
"""First 16 digits of the sha256 of the result: a change here is another rule, and every engine's training with it."""


@pytest.mark.parametrize(("case", "expected"), GOLDEN.items(), ids=str)
@pytest.mark.parametrize("way", [apply, apply_numpy])
def test_the_bytes_are_those_of_every_release(case: Any, expected: str, way: Any) -> None:
    height, width, side, crop = case
    assert digest.of_bytes(way(ramp(height, width), rule(side, crop=crop)).tobytes())[:16] == expected


VIEWS = {
    "whole": lambda f: f,
    "upside down": lambda f: f[::-1],
    "mirrored": lambda f: f[:, ::-1],
    "channels swapped": lambda f: f[..., ::-1],
    "every second": lambda f: f[::2, ::2],
    "transposed": lambda f: f.transpose(1, 0, 2),
    "a window": lambda f: f[1:, 1:],
}


@FEW
@given(
    shape=st.tuples(st.integers(2, 200), st.integers(2, 200)),
    target=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    crop=st.sampled_from([(1, 1), (7, 8), (224, 256), (1, 3)]),
    view=st.sampled_from(sorted(VIEWS)),
    swap=st.booleans(),
    seed=st.integers(0, 99),
)
def test_opencv_and_numpy_give_the_same_bytes(
    shape: tuple[int, int], target: tuple[int, int], crop: tuple[int, int], view: str, swap: bool, seed: int
) -> None:
    whole = np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)
    frame, wanted = VIEWS[view](whole), rule(*target, crop=crop)
    assert preprocess.opencv() is not None, "this test compares two ways"
    np.testing.assert_array_equal(apply(frame, wanted, swap=swap), apply_numpy(frame, wanted, swap=swap))


@FEW
@given(data=st.data(), swap=st.booleans())
def test_any_box_inside_gives_the_same_bytes_both_ways(data: st.DataObject, swap: bool) -> None:
    height, width = data.draw(st.integers(1, 120)), data.draw(st.integers(1, 120))
    side = data.draw(st.integers(1, min(height, width)))
    box = (data.draw(st.integers(0, height - side)), data.draw(st.integers(0, width - side)), side)
    frame, wanted = ramp(height, width), rule(16, 24)
    one = apply(frame, wanted, box=box, swap=swap)
    np.testing.assert_array_equal(one, apply_numpy(frame, wanted, box=box, swap=swap))
    cut = np.ascontiguousarray(frame[box[0] : box[0] + side, box[1] : box[1] + side])
    np.testing.assert_array_equal(one, apply(cut, wanted, swap=swap))


@FEW
@given(
    value=st.tuples(*[st.integers(0, 255)] * 3),
    shape=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    side=st.integers(1, 64),
)
def test_a_constant_picture_stays_constant(value: tuple[int, ...], shape: tuple[int, int], side: int) -> None:
    frame = np.full((*shape, 3), value, np.uint8)
    for way in (apply, apply_numpy):
        assert (way(frame, rule(side)) == np.array(value, np.uint8)).all()


@FEW
@given(target=st.integers(1, 24), halvings=st.integers(0, 3), seed=st.integers(0, 99))
def test_a_power_of_two_times_the_target_is_halved_exactly(target: int, halvings: int, seed: int) -> None:
    side = target << halvings
    frame = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    expected = frame.astype(np.int64)
    for _ in range(halvings):
        half = expected.shape[0] // 2
        expected = (expected.reshape(half, 2, half, 2, 3).sum(axis=(1, 3)) + 2) // 4
    np.testing.assert_array_equal(apply(frame, rule(target)), expected)


@FEW
@given(
    height=st.integers(1, 5000), width=st.integers(1, 5000), top=st.integers(1, 40), bottom=st.integers(1, 40)
)
def test_the_centre_box_is_inside_and_in_the_middle(height: int, width: int, top: int, bottom: int) -> None:
    crop = (min(top, bottom), max(top, bottom))
    y, x, side = centre_box(height, width, crop)
    assert 1 <= side <= min(height, width)
    assert 0 <= y <= height - side - y <= y + 1
    assert 0 <= x <= width - side - x <= x + 1


def test_swap_reverses_the_channels() -> None:
    for frame in (ramp(90, 70), ramp(32, 32)):
        np.testing.assert_array_equal(apply(frame, rule(32), swap=True), apply(frame, rule(32))[..., ::-1])


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("size", [(32, 32), (90, 70), (64, 64)])
@pytest.mark.parametrize("way", [apply, apply_numpy])
def test_out_is_written_and_given_back(way: Any, size: tuple[int, int], swap: bool) -> None:
    batch = np.zeros((2, 32, 32, 3), np.uint8)
    assert way(ramp(*size), rule(32), out=batch[1], swap=swap).base is not None
    np.testing.assert_array_equal(batch[1], way(ramp(*size), rule(32), swap=swap))
    assert not batch[0].any()


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((32, 32, 3), np.float32),
        np.zeros((32, 31, 3), np.uint8),
        np.zeros((32, 64, 3), np.uint8)[:, ::2],
    ],
)
@pytest.mark.parametrize("way", [apply, apply_numpy])
def test_an_out_that_does_not_fit_is_refused(way: Any, out: Any) -> None:
    with pytest.raises(InputError, match="out is"):
        way(ramp(90, 90), rule(32), out=out)


@pytest.mark.parametrize("box", [(-1, 0, 5), (0, 0, 0), (0, 6, 5), (6, 0, 5), (0, 0, 11)])
@pytest.mark.parametrize("way", [apply, apply_numpy])
def test_a_box_that_leaves_the_frame_is_refused(way: Any, box: Any) -> None:
    with pytest.raises(InputError, match="not inside"):
        way(ramp(10, 10), rule(4), box=box)


def test_the_frame_is_left_as_it_was() -> None:
    frame = ramp(100, 100)
    frame.flags.writeable = False
    apply(frame, rule(32), swap=True)
    apply_numpy(frame, rule(32), swap=True)
    np.testing.assert_array_equal(frame, ramp(100, 100))
