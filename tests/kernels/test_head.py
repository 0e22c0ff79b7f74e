"""The fused head against float64, from the kernel's own sources run on the CPU."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kernels.head_on_host import (
    OK,
    Answer,
    Case,
    HeadArgs,
    Library,
    changed,
    expected,
    plain_float32,
    random_case,
    run,
)

FLOOR = 4 * float(np.finfo(np.float32).eps)
"""An error of a probability that is nobody's fault: the plain loops may come out exact by luck."""

FULL_MAP = {"dtype": ["float32", "float16", "int8"], "layout": ["NCHW", "NHWC"]}


def ranked(logits: npt.NDArray[Any], k: int) -> npt.NDArray[Any]:
    """The first k, of equal ones the smaller index."""
    return np.argsort(-logits, axis=-1, kind="stable")[:, :k]


def check(case: Case, answer: Answer) -> None:
    """No further from float64 than twice what plain float32 loops are, and ordered by its own numbers."""
    exact = expected(case)
    error = float(np.abs(answer.probabilities - exact).max())
    plain = float(np.abs(plain_float32(case) - exact).max())
    assert error <= 2 * plain + FLOOR
    assert np.all(answer.status == OK)
    taken = np.take_along_axis(answer.probabilities, answer.indices.astype(np.int64), axis=1)
    assert np.array_equal(taken, answer.scores)
    assert np.all(np.diff(answer.scores, axis=1) <= 0)
    best = np.sort(answer.probabilities, axis=1)[:, ::-1][:, : case.top_k]
    assert np.array_equal(best, answer.scores)
    assert all(len(set(row)) == case.top_k for row in answer.indices.tolist())


def launched(library: Library, case: Case, **options: Any) -> Answer:
    """The answer of a launch that must go well."""
    code, answer = run(library, case, **options)
    assert code == OK
    return answer


@pytest.mark.parametrize("layout", FULL_MAP["layout"])
@pytest.mark.parametrize("dtype", FULL_MAP["dtype"])
@pytest.mark.parametrize("weights", ["float32", "float16"])
@pytest.mark.parametrize(
    ("shape", "classes"),
    [
        ((1, 111, 7, 7), 999),
        ((5, 96, 7, 7), 100),
        ((2, 2051, 3, 2), 33),
        ((3, 12, 5, 7), 30),
        ((1, 1, 1, 1), 1),
    ],
)
def test_types_layouts_and_awkward_shapes(
    library: Library, dtype: str, layout: str, weights: str, shape: tuple[int, int, int, int], classes: int
) -> None:
    case = random_case(
        np.random.default_rng(classes), shape, classes, dtype=dtype, layout=layout, weights=weights
    )
    check(case, launched(library, case))


@pytest.mark.parametrize(
    ("shape", "classes", "layout"),
    [
        ((1, 2048, 7, 7), 1000, "NCHW"),  # ResNet-50
        ((8, 1280, 7, 7), 1000, "NHWC"),  # MobileNetV2
        ((64, 40, 2, 2), 20, "NCHW"),
        ((19, 64, 5, 3), 300, "NHWC"),
        ((1, 24, 2, 2), 21841, "NHWC"),
        ((3, 8, 112, 96), 10, "NCHW"),
    ],
)
def test_real_sizes(library: Library, shape: tuple[int, int, int, int], classes: int, layout: str) -> None:
    case = random_case(
        np.random.default_rng(0), shape, classes, dtype="float16", weights="float16", layout=layout
    )
    check(case, launched(library, case))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any head of small size, with gaps and offsets that only sometimes leave vector loads aligned."""
    gap = st.sampled_from([0, 0, 1, 4, 8])
    return random_case(
        np.random.default_rng(draw(st.integers(0, 2**32))),
        (
            draw(st.integers(1, 9)),
            draw(st.integers(1, 140)),
            draw(st.integers(1, 9)),
            draw(st.integers(1, 9)),
        ),
        draw(st.integers(1, 90)),
        dtype=draw(st.sampled_from(FULL_MAP["dtype"])),
        layout=draw(st.sampled_from(FULL_MAP["layout"])),
        weights=draw(st.sampled_from(["float32", "float16"])),
        gaps=(draw(gap), draw(gap), draw(gap), draw(gap)),
        weight_gap=draw(gap),
        offset=draw(st.sampled_from([0, 0, 1, 4])),
        top_k=draw(st.integers(1, 32)),
        multiprocessors=draw(st.sampled_from([1, 8, 132])),
    )


@given(case=cases(), order=st.integers(0, 9))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_shape_stride_and_alignment(library: Library, case: Case, order: int) -> None:
    check(case, launched(library, case, order=order))


@pytest.mark.parametrize("layout", FULL_MAP["layout"])
def test_the_order_of_threads_and_blocks_changes_no_bit(library: Library, layout: str) -> None:
    case = random_case(np.random.default_rng(3), (5, 2100, 2, 3), 40, layout=layout)
    first = launched(library, case)
    for order in (1, 2, 3):
        again = launched(library, case, order=order)
        assert np.array_equal(again.probabilities, first.probabilities)
        assert np.array_equal(again.indices, first.indices)


@pytest.mark.parametrize("number", range(7))
def test_a_missing_barrier_is_noticed(library: Library, number: int) -> None:
    """Two chunks have two barriers each, then come the ticket's two and that of the merge."""
    case = random_case(np.random.default_rng(4), (5, 2100, 2, 2), 40, layout="NHWC")
    right = launched(library, case)
    seen = [run(library, case, order=order, skipped_barrier=number) for order in (0, 1, 2)]
    assert any(
        code != OK or not np.array_equal(wrong.probabilities, right.probabilities) for code, wrong in seen
    )


def test_a_launch_leaves_the_workspace_ready_for_the_next(library: Library) -> None:
    case = random_case(np.random.default_rng(5), (6, 64, 3, 3), 200)
    check(case, launched(library, case, launches=3))


def test_probabilities_are_optional(library: Library) -> None:
    case = random_case(np.random.default_rng(6), (3, 64, 3, 3), 200)
    full = launched(library, case)

    def without(args: HeadArgs) -> None:
        args.probabilities = None

    short = launched(library, case, spoil=without)
    assert np.all(short.probabilities == -77)
    assert np.array_equal(short.indices, full.indices)
    assert np.array_equal(short.scores, full.scores)


def by_bias(logits: npt.NDArray[np.float32], **options: Any) -> Case:
    """A head whose logits are its bias: the features are zero."""
    classes = len(logits)
    return Case(np.zeros((1, 4, 2, 2), np.float32), np.ones((classes, 4), np.float32), logits, **options)


@given(
    levels=st.lists(st.sampled_from([-2.0, -0.0, 0.0, 3.0, -np.inf]), min_size=1, max_size=80),
    k=st.integers(1, 32),
)
@settings(max_examples=60, deadline=None)
def test_ties_go_to_the_smaller_index(library: Library, levels: list[float], k: int) -> None:
    logits = np.array([*levels, 3.0], np.float32)
    k = min(k, len(logits))
    answer = launched(library, by_bias(logits, top_k=k))
    assert np.array_equal(answer.indices, ranked(logits[None], k))


def test_all_classes_equal(library: Library) -> None:
    answer = launched(library, by_bias(np.zeros(1000, np.float32)))
    assert answer.indices.tolist() == [[0, 1, 2, 3, 4]]
    np.testing.assert_allclose(answer.probabilities, 1e-3, rtol=1e-6)


@pytest.mark.parametrize("offset", [-1e30, -1e4, 88.0, 1e4, 3e38])
def test_large_logits_neither_overflow_nor_vanish(library: Library, offset: float) -> None:
    logits = (np.arange(70) % 7 * np.float32(0.5) + np.float32(offset)).astype(np.float32)
    case = by_bias(logits)
    answer = launched(library, case)
    np.testing.assert_allclose(answer.probabilities, expected(case), rtol=2e-6)


@pytest.mark.parametrize("where", ["features", "weights", "bias"])
@pytest.mark.parametrize("layout", FULL_MAP["layout"])
def test_nan_is_told_for_its_images_alone(library: Library, where: str, layout: str) -> None:
    case = random_case(np.random.default_rng(7), (6, 37, 3, 3), 90, layout=layout)
    poisoned = np.array(getattr(case, where), copy=True, order="K")
    poisoned[(4, 36, 2, 2) if where == "features" else (89,) if where == "bias" else (89, 36)] = np.nan
    answer = launched(library, changed(case, where, poisoned))
    told = [image == 4 or where != "features" for image in range(6)]
    assert (answer.status != OK).tolist() == told
    assert np.isnan(answer.scores).all(axis=1).tolist() == told
    assert np.isnan(answer.probabilities).all(axis=1).tolist() == told
    assert (answer.indices == -1).all(axis=1).tolist() == told


@pytest.mark.parametrize("values", [[np.inf, 0.0], [-np.inf, -np.inf], [np.inf, -np.inf]])
def test_logits_without_a_softmax_are_told(library: Library, values: list[float]) -> None:
    answer = launched(library, by_bias(np.array(values * 40, np.float32)))
    assert answer.status.tolist() == [10]


def test_int8_is_summed_exactly(library: Library) -> None:
    features = np.full((1, 4, 300, 301), 101, np.int8)
    features[0, :, 0, 0] = -128
    weights = np.eye(4, dtype=np.float32)[:2] * [[0.0], [1.0]]
    case = Case(features, weights.astype(np.float32), None, scale=0.25, top_k=2)
    answer = launched(library, case)
    np.testing.assert_allclose(answer.probabilities, expected(case), rtol=3e-6)


@pytest.mark.parametrize("which", ["features", "weights"])
def test_offsets_beyond_32_bits(library: Library, which: str) -> None:
    """Memory that is reserved and never touched between the two rows that are read."""
    far = 2**31 + 64
    case = random_case(np.random.default_rng(8), (2, 32, 1, 1), 2, dtype="int8", weights="float16", top_k=2)
    values = getattr(case, which)
    room = np.zeros(far + 32, values.dtype)
    rows = np.lib.stride_tricks.as_strided(room, (2, 32), (far * room.itemsize, room.itemsize))
    rows[...] = values.reshape(2, 32)
    moved = rows.reshape(values.shape) if values.ndim == 2 else rows[:, :, None, None]
    far_case = changed(case, which, moved)
    check(far_case, launched(library, far_case))


@pytest.mark.parametrize("odd", ["batch", "row"])
def test_a_map_of_which_one_stride_alone_is_odd(library: Library, odd: str) -> None:
    """The first pixel of each row, or of each image, is where no vector load may go."""
    case = random_case(np.random.default_rng(9), (2, 8, 4, 3), 20, layout="NHWC")
    row = 3 * 8 + (odd == "row")
    image = 4 * row + (odd == "batch")
    room = np.full(2 * image + 16, np.nan, np.float32)
    start = -room.ctypes.data // 4 % 4
    view = np.lib.stride_tricks.as_strided(room[start:], (2, 8, 4, 3), (4 * image, 4, 4 * row, 32))
    view[...] = case.features
    moved = changed(case, "features", view)
    check(moved, launched(library, moved))


def test_every_half_is_read_right(library: Library) -> None:
    bits = np.arange(2**16, dtype=np.uint16)
    floats = np.empty(2**16, np.float32)
    library.test_half_as_float(
        ctypes.c_void_p(bits.ctypes.data), ctypes.c_void_p(floats.ctypes.data), ctypes.c_int(2**16)
    )
    np.testing.assert_array_equal(floats, bits.view(np.float16).astype(np.float32))
    assert np.array_equal(np.signbit(floats), np.signbit(bits.view(np.float16)))
