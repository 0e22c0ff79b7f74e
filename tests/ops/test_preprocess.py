"""The preprocessor's launcher: what it gives to C, what it refuses, and what it makes of a status."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgetl.errors import BackendError, InputError
from edgetl.ops.device import OnDevice
from edgetl.ops.frames import Nv12, Pixels, Surface
from edgetl.ops.preprocess import FusedPreprocess, PreprocessFunctions, reference
from edgetl.runtime.preprocess import apply, apply_numpy
from edgetl.types import Preprocess
from tests.ops.host_device import HostDevice, Lent

Array = npt.NDArray[Any]


def wanted(**changes: Any) -> Preprocess:
    """Of an engine of 4 x 6 pixels."""
    return Preprocess(**{"height": 4, "width": 6, "mean": (0, 0, 0), "std": (1, 1, 1), **changes})


class Recorder:
    """In the place of the library: it keeps what it is given and answers with a status."""

    def __init__(self, status: int = 0) -> None:
        self.status = status
        self.given: list[dict[str, Any]] = []
        self.streams: list[int | None] = []

    def functions(self) -> PreprocessFunctions:
        return PreprocessFunctions(self.launch, lambda code: f"words of {code}".encode())

    def launch(self, args: Any, stream: Any) -> int:
        struct = args._obj
        self.given.append({name: getattr(struct, name) for name, *_ in struct._fields_})
        self.streams.append(stream.value)
        return self.status


def bound(device: HostDevice, frame: Any, out: Any = None, recorder: Any = None, **changes: Any) -> Any:
    """A launch of a frame of the host's arrays, as if they were the device's."""
    preprocess = wanted(**changes)
    if out is None:
        out = OnDevice(device, np.zeros((preprocess.height, preprocess.width, 3), np.uint8))
    made = FusedPreprocess((recorder or Recorder()).functions(), device, preprocess, stream=5)
    return made.bind(frame, out)


def pixels(device: HostDevice, array: Array, **lies: Any) -> Pixels:
    return Pixels(Lent(device, array, **lies), "bgr")


def nv12(device: HostDevice, luma: Array, chroma: Array) -> Nv12:
    return Nv12(Lent(device, luma), Lent(device, chroma), "bt709", "full")


def test_what_c_is_given(device: HostDevice) -> None:
    room, recorder = np.zeros((10, 16), np.uint8), Recorder()
    chroma = np.lib.stride_tricks.as_strided(np.zeros(100, np.uint8), (5, 6, 2), (18, 2, 1))
    out = OnDevice(device, np.zeros((1, 4, 6, 3), np.uint8))
    launch = bound(device, nv12(device, room[:, :12], chroma), out, recorder, crop=(7, 8), color="bgr")
    assert recorder.given == []  # bound is not launched
    launch()
    launch()
    assert recorder.streams == [5, 5]
    assert recorder.given[0] == recorder.given[1]
    assert recorder.given[0] == {
        "pixels": room.ctypes.data,
        "chroma": chroma.ctypes.data,
        "input": out.__cuda_array_interface__["data"][0],
        "pixel_pitch": 16,
        "chroma_pitch": 18,
        "height": 10,
        "width": 12,
        "input_height": 4,
        "input_width": 6,
        "crop_numerator": 7,
        "crop_denominator": 8,
        "format": 0,
        "input_format": 1,
        "matrix": 1,
        "range": 1,
    }


def test_an_address_and_a_pitch_are_a_frame(device: HostDevice) -> None:
    room, recorder = np.zeros((10, 64), np.uint8), Recorder()
    device.lent.append(room)
    for pitch, used in ((64, 64), (0, 36)):
        bound(device, Pixels(Surface(room.ctypes.data, (10, 12, 3), pitch), "rgb"), None, recorder)()
        given = recorder.given[-1]
        assert (given["pixels"], given["pixel_pitch"], given["format"]) == (room.ctypes.data, used, 2)


def test_one_row_has_no_pitch(device: HostDevice) -> None:
    recorder = Recorder()
    bound(device, pixels(device, np.zeros((8, 4, 3), np.uint8)[::8]), None, recorder)()
    assert recorder.given[0]["pixel_pitch"] == 12


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((8, 8, 3), np.int8), "is int8"),
        (np.zeros((8, 8, 4), np.uint8), r"uint8 \(8, 8, 4\), expected"),
        (np.zeros((8, 8, 4), np.uint8)[..., :3], "lie side by side"),
        (np.zeros((8, 8, 3), np.uint8)[:, ::2], "lie side by side"),
        (np.zeros((8, 8, 3), np.uint8).transpose(1, 0, 2), "lie side by side"),
        (np.zeros((8, 8, 3), np.uint8)[::-1], "walks forward"),
        (np.broadcast_to(np.zeros((1, 8, 3), np.uint8), (8, 8, 3)), "a pitch of 0 bytes for rows of 24"),
        (np.zeros((0, 8, 3), np.uint8), "is empty"),
        (np.zeros((2, 40000, 3), np.uint8), "each side is from 1 to 32768"),
    ],
)
def test_frames_that_do_not_fit_are_refused_when_they_are_bound(
    device: HostDevice, array: Array, told: str
) -> None:
    with pytest.raises(InputError, match=told) as caught:
        bound(device, pixels(device, array))
    assert "\n" not in caught.value.problem
    assert caught.value.hint


def test_odd_frames_of_nv12_are_refused(device: HostDevice) -> None:
    with pytest.raises(InputError, match="8 x 7 pixels: both are even"):
        bound(device, nv12(device, np.zeros((8, 7), np.uint8), np.zeros((4, 4, 2), np.uint8)))


@pytest.mark.parametrize("frame", [None, np.zeros((4, 4, 3), np.uint8)])
def test_a_frame_says_how_its_bytes_lie(device: HostDevice, frame: Any) -> None:
    words = f"the frame is a {type(frame).__name__}, expected Pixels or Nv12"
    with pytest.raises(InputError, match=words):
        bound(device, frame)
    with pytest.raises(InputError, match=words):
        reference(frame, wanted(), apply_numpy)


def test_what_is_no_array_is_refused_by_the_twin() -> None:
    with pytest.raises(InputError, match="the frame is a list, not an array"):
        reference(Pixels([1], "rgb"), wanted(), apply_numpy)
    with pytest.raises(InputError, match="luma is a list, not an array"):
        reference(Nv12([1], [1], "bt601", "full"), wanted(), apply_numpy)


def test_a_null_pointer_is_refused(device: HostDevice) -> None:
    with pytest.raises(InputError, match="address 0x0"):
        bound(device, Pixels(Surface(0, (8, 8, 3)), "bgr"))


def test_a_pitch_beyond_64_bits_is_refused(device: HostDevice) -> None:
    room = np.zeros(64, np.uint8)
    device.lent.append(room)
    with pytest.raises(InputError, match="fits 64 bits"):
        bound(device, Pixels(Surface(room.ctypes.data, (8, 8, 3), 2**61), "bgr"))


def test_a_pitch_that_leads_out_of_the_memory_is_refused(device: HostDevice) -> None:
    frame = Pixels(Lent(device, np.zeros((8, 8, 3), np.uint8), strides=(1 << 40, 3, 1)), "rgb")
    with pytest.raises(InputError, match="the last byte of the frame is at 0x"):
        bound(device, frame)
    luma, chroma = np.zeros((8, 8), np.uint8), np.zeros((2, 4, 2), np.uint8)
    with pytest.raises(InputError, match="the last byte of chroma is at 0x"):
        bound(device, Nv12(Lent(device, luma), Lent(device, chroma, shape=(4, 4, 2)), "bt601", "full"))


def test_an_array_of_the_host_is_refused(device: HostDevice) -> None:
    with pytest.raises(InputError, match=r"numpy\.ndarray on the host"):
        bound(device, Pixels(np.zeros((8, 8, 3), np.uint8), "bgr"))


@pytest.mark.parametrize("shape", [(6, 4, 3), (4, 6), (2, 4, 6, 3)])
def test_an_out_of_another_shape_is_refused(device: HostDevice, shape: tuple[int, ...]) -> None:
    out = OnDevice(device, np.zeros(shape, np.uint8))
    with pytest.raises(InputError, match=r"the engine's input is uint8 \(4, 6, 3\)"):
        bound(device, pixels(device, np.zeros((8, 8, 3), np.uint8)), out)


def test_an_out_with_gaps_is_refused(device: HostDevice) -> None:
    out = Lent(device, np.zeros((4, 8, 3), np.uint8)[:, :6])
    with pytest.raises(InputError, match="out is not contiguous"):
        bound(device, pixels(device, np.zeros((8, 8, 3), np.uint8)), out)


@pytest.mark.parametrize("crop", [(0, 1), (2, 1), (-1, -1), (1, 0), (1, 2**31)])
def test_a_crop_is_a_fraction(device: HostDevice, crop: tuple[int, int]) -> None:
    frame = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(InputError, match="is not a fraction"):
        bound(device, pixels(device, frame), crop=crop)
    with pytest.raises(InputError, match="is not a fraction"):
        reference(Pixels(frame, "bgr"), wanted(crop=crop), apply_numpy)


@pytest.mark.parametrize("side", [0, -1, 2**15 + 1])
def test_an_input_of_an_impossible_size_is_refused(device: HostDevice, side: int) -> None:
    out = OnDevice(device, np.zeros(1, np.uint8))
    with pytest.raises(InputError, match="an input of"):
        bound(device, pixels(device, np.zeros((8, 8, 3), np.uint8)), out, height=side)


@pytest.mark.parametrize(("status", "kind"), [(9, BackendError), (3, InputError)])
def test_a_status_is_an_error_with_its_words(device: HostDevice, status: int, kind: type[Exception]) -> None:
    launch = bound(device, pixels(device, np.zeros((8, 8, 3), np.uint8)), recorder=Recorder(status))
    with pytest.raises(kind, match=f"words of {status}"):
        launch()


def test_functions_are_those_of_the_library() -> None:
    class Library:
        edgetl_preprocess_launch: Any = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 3)
        edgetl_status_text: Any = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 4)

    library: Any = Library
    made = PreprocessFunctions.of(library)
    assert made == (library.edgetl_preprocess_launch, library.edgetl_status_text)
    assert library.edgetl_status_text.restype is ctypes.c_char_p


@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_the_twin_is_the_runtimes_rule(color: Any) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    preprocess = wanted(color=color)
    for resize in (apply, apply_numpy):
        np.testing.assert_array_equal(
            reference(Pixels(frame, "bgr"), preprocess, resize),
            apply(frame, preprocess, swap=color == "rgb"),
        )
