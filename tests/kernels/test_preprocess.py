"""The fused preprocessor against the resize rule in numpy, from the kernel's own sources run on the CPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgetl.errors import BackendError
from edgetl.ops.frames import Nv12, Pixels
from edgetl.ops.preprocess import FusedPreprocess, PreprocessFunctions
from tests.kernels.head_on_host import Library
from tests.kernels.preprocess_on_host import (
    KINDS,
    camera_frame,
    expected,
    launched,
    lent,
    poisoned,
    random_frame,
    rule,
)
from tests.ops.host_device import HostDevice, Lent

CAMERA_FRAMES = 200
QUICK = 12
NV12, BGR = KINDS[2], KINDS[4]


def check(library: Library, frame: Any, preprocess: Any, **options: Any) -> None:
    """Every byte is the rule's."""
    np.testing.assert_array_equal(
        launched(library, frame, preprocess, **options), expected(frame, preprocess)
    )


def plan(library: Library, frame: Any, preprocess: Any) -> tuple[int, int]:
    """How often the frame is halved, and how many bytes a load has."""
    found: list[tuple[int, int]] = []

    def look(args: Any, stream: Any) -> int:
        found.append((library.test_halvings(args), library.test_load_width(args)))
        return 0

    device = HostDevice()
    out = np.zeros((preprocess.height, preprocess.width, 3), np.uint8)
    functions = PreprocessFunctions(look, library.edgetl_status_text)
    FusedPreprocess(functions, device, preprocess).bind(lent(device, frame), Lent(device, out))()
    return found[0]


@pytest.mark.parametrize("number", range(QUICK))
def test_frames_of_cameras(preprocess_library: Library, number: int) -> None:
    check(preprocess_library, *camera_frame(number), order=number % 3)


@pytest.mark.slow
def test_two_hundred_frames_of_cameras(preprocess_library: Library) -> None:
    for number in range(QUICK, CAMERA_FRAMES):
        check(preprocess_library, *camera_frame(number), order=number % 3)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
@pytest.mark.parametrize(
    ("side", "target", "halvings"),
    [
        *((30, 64, 0), (64, 64, 0), (90, 64, 0)),  # enlarged, as it is, reduced
        *((128, 64, 1), (250, 64, 1), (500, 64, 2), (1000, 64, 3), (520, 32, 4), (1028, 32, 5), (1030, 7, 7)),
    ],
)
def test_every_number_of_halvings(
    preprocess_library: Library, kind: tuple[str, str, str], side: int, target: int, halvings: int
) -> None:
    frame, wanted = random_frame(np.random.default_rng(side), side, side + 10, kind), rule(target)
    assert plan(preprocess_library, frame, wanted)[0] == halvings
    check(preprocess_library, frame, wanted)


@pytest.mark.parametrize("kind", [NV12, BGR], ids="-".join)
@pytest.mark.parametrize(
    "target",
    [(1, 1), (1, 200), (200, 1), (3, 150), (150, 3), (16, 32), (17, 33), (15, 31), (5, 64), (48, 96)],
    ids=str,
)
def test_inputs_of_any_shape(
    preprocess_library: Library, kind: tuple[str, str, str], target: tuple[int, int]
) -> None:
    """Where height and width differ, what lies between the lines that are mixed is skipped along one of them."""
    frame = random_frame(np.random.default_rng(1), 180, 210, kind)
    check(preprocess_library, frame, rule(*target))


@pytest.mark.parametrize(
    ("source", "target"), [(769, 768), (300, 256), (257, 512), (515, 512), (7, 768), (1, 9)]
)
def test_weights_that_lie_between_two_steps(preprocess_library: Library, source: int, target: int) -> None:
    """Multiples of 256 have weights of k + 1/2 steps, which the two must round alike."""
    frame = random_frame(np.random.default_rng(target), source, source, BGR)
    check(preprocess_library, frame, rule(8, target) if source < 9 else rule(target))


@pytest.mark.parametrize("kind", [NV12, BGR], ids="-".join)
@pytest.mark.parametrize(
    ("gap", "offset", "crop", "width"),
    [
        *((0, 0, (1, 1), 4), (0, 4, (1, 1), 4), (4, 0, (1, 1), 4)),
        *((2, 0, (1, 1), 2), (0, 2, (1, 1), 2)),
        *((1, 0, (1, 1), 1), (0, 1, (1, 1), 1), (0, 0, (73, 80), 1)),
    ],
)
def test_loads_are_as_wide_as_memory_allows(
    preprocess_library: Library,
    kind: tuple[str, str, str],
    gap: int,
    offset: int,
    crop: tuple[int, int],
    width: int,
) -> None:
    """A crop of 73 of 80 begins at an odd pixel, where no pair of Cb and Cr begins either."""
    frame = random_frame(np.random.default_rng(2), 80, 88, kind, gap=gap, offset=offset)
    assert plan(preprocess_library, frame, rule(16, crop=crop)) == (2, width)
    check(preprocess_library, frame, rule(16, crop=crop))


@pytest.mark.parametrize(("height", "width"), [(80, 90), (82, 88)])
def test_a_crop_may_cut_pairs_in_two(preprocess_library: Library, height: int, width: int) -> None:
    """Along one axis alone, where the loads themselves would be aligned."""
    frame, wanted = random_frame(np.random.default_rng(8), height, width, NV12), rule(16, crop=(73, 80))
    assert plan(preprocess_library, frame, wanted) == (2, 1)
    check(preprocess_library, frame, wanted)


@pytest.mark.parametrize(("gap", "offset"), [(1, 0), (0, 1)])
@pytest.mark.parametrize("odd", ["luma", "chroma"])
def test_one_plane_that_is_misaligned_is_enough(
    preprocess_library: Library, odd: str, gap: int, offset: int
) -> None:
    frame = random_frame(np.random.default_rng(3), 64, 64, NV12)
    assert isinstance(frame, Nv12)
    planes: dict[str, Any] = {odd: poisoned(getattr(frame, odd), gap, offset)}
    moved = replace(frame, **planes)
    assert plan(preprocess_library, moved, rule(16)) == (2, 1)
    check(preprocess_library, moved, rule(16))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Any, Any]:
    """Any small frame in any memory."""
    kind = draw(st.sampled_from(KINDS))
    height, width = draw(st.integers(1, 150)), draw(st.integers(1, 150))
    if kind[0] == "nv12":
        height, width = 2 * height, 2 * width
    frame = random_frame(
        np.random.default_rng(draw(st.integers(0, 2**32))),
        height,
        width,
        kind,
        gap=draw(st.sampled_from([0, 0, 1, 2, 4, 7])),
        offset=draw(st.sampled_from([0, 0, 1, 2, 4])),
        poison=draw(st.sampled_from([0, 255])),
    )
    size = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    crop = draw(st.sampled_from([(1, 1), (7, 8), (224, 256), (1, 3), (1, 1000), (2**30, 2**31 - 1)]))
    return frame, rule(*size, crop=crop, color=draw(st.sampled_from(["rgb", "bgr"])))


@given(case=cases(), order=st.integers(0, 9))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_frame_in_any_memory(preprocess_library: Library, case: tuple[Any, Any], order: int) -> None:
    check(preprocess_library, *case, order=order)


@pytest.mark.parametrize("kind", KINDS[:4], ids="-".join)
def test_every_level_of_every_plane(preprocess_library: Library, kind: tuple[str, str, str]) -> None:
    """At the frame's own size the input is its colours alone: each luma with many pairs, the extremes with all."""
    y = np.arange(256, dtype=np.uint8).repeat(2)
    steps = np.array([0, 1, 15, 16, 17, 64, 127, 128, 129, 200, 239, 240, 241, 254, 255], np.uint8)
    pairs = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    pairs = np.concatenate([pairs, np.full((256 - len(pairs), 1, 2), 128, np.uint8)])
    luma = np.tile(y, (512, 1))
    frame = Nv12(luma, np.ascontiguousarray(pairs.repeat(256, axis=1)), *kind[1:])  # type: ignore[arg-type]
    check(preprocess_library, frame, rule(512))


def test_poison_between_the_rows_is_not_seen(preprocess_library: Library) -> None:
    for kind in (NV12, BGR):
        clean, dirty = (
            launched(
                preprocess_library,
                random_frame(np.random.default_rng(4), 50, 70, kind, gap=9, offset=3, poison=poison),
                rule(20),
            )
            for poison in (0, 255)
        )
        np.testing.assert_array_equal(clean, dirty)


@pytest.mark.parametrize("kind", [NV12, BGR], ids="-".join)
def test_the_order_of_threads_and_blocks_changes_no_byte(
    preprocess_library: Library, kind: tuple[str, str, str]
) -> None:
    frame = random_frame(np.random.default_rng(5), 300, 400, kind)
    for order in (1, 2, 3):
        check(preprocess_library, frame, rule(70), order=order)


@pytest.mark.parametrize("number", [0, 1])
def test_a_missing_barrier_is_noticed(preprocess_library: Library, number: int) -> None:
    """One is behind the weights, one behind the halved pixels."""
    frame, wanted = random_frame(np.random.default_rng(6), 300, 400, NV12), rule(70)
    right = expected(frame, wanted)

    def is_wrong(order: int) -> bool:
        try:
            found = launched(preprocess_library, frame, wanted, order=order, skipped_barrier=number)
        except BackendError:
            return True
        return not np.array_equal(found, right)

    assert any(is_wrong(order) for order in (0, 1, 2))


@pytest.mark.parametrize("plane", ["pixels", "luma", "chroma"])
def test_offsets_beyond_32_bits(preprocess_library: Library, plane: str) -> None:
    """Memory that is reserved and never touched between the rows."""

    def far(values: Any) -> Any:
        pitch = 3 * 2**30 // len(values)
        room = np.zeros(pitch * len(values), np.uint8)
        inner = values.strides[1:]
        view = np.lib.stride_tricks.as_strided(room, values.shape, (pitch, *inner))
        view[...] = values
        return view

    frame = random_frame(np.random.default_rng(7), 64, 64, BGR if plane == "pixels" else NV12)
    if isinstance(frame, Pixels):
        check(preprocess_library, replace(frame, array=far(frame.array)), rule(16))
    else:
        check(preprocess_library, replace(frame, **{plane: far(getattr(frame, plane))}), rule(16))
