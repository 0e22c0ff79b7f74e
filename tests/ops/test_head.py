"""The head's launcher with the kernels of the CPU under it, and its twin in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgetl.errors import BackendError, EdgetlError, InputError
from edgetl.ops import head_checks
from edgetl.ops.device import OnDevice
from edgetl.ops.head import Answer, FusedHead, HeadFunctions, reference
from tests.kernels.head_on_host import Case, Library, expected, random_case
from tests.kernels.on_host import KERNELS
from tests.ops.host_device import HostDevice, Lent, functions

Array = npt.NDArray[Any]


def scale_of(case: Case) -> float | None:
    """With INT8 features alone."""
    return case.scale if case.features.dtype == np.int8 else None


def answered(case: Case) -> Answer[Array]:
    """By the twin."""
    return reference(case.features, case.weights, case.bias, top_k=case.top_k, scale=scale_of(case))


def room(device: HostDevice, batch: int, k: int, classes: int) -> Answer[OnDevice]:
    """Arrays to write to, full of what no head writes."""
    return Answer(
        OnDevice(device, np.full((batch, k), -77, np.int32)),
        OnDevice(device, np.full((batch, k), -77, np.float32)),
        OnDevice(device, np.full(batch, -77, np.int32)),
        OnDevice(device, np.full((batch, classes), -77, np.float32)),
    )


def fused(device: HostDevice, library: Library, case: Case, **options: Any) -> FusedHead:
    """The head of a case."""
    weights, bias = (None if a is None else Lent(device, a) for a in (case.weights, case.bias))
    options = {"top_k": case.top_k, "scale": scale_of(case), **options}
    return FusedHead(functions(library), device, weights, bias, **options)


def launched(device: HostDevice, made: FusedHead, features: Array, k: int, classes: int) -> Answer[Array]:
    """Bound, launched and read."""
    answer = room(device, len(features), k, classes)
    made.bind(Lent(device, features), answer)()
    return Answer(**{name: array.numpy() for name, array in vars(answer).items()})


def assert_same(found: Answer[Array], wanted: Answer[Array]) -> None:
    """As float32 sums allow."""
    assert found.probabilities is not None and wanted.probabilities is not None
    np.testing.assert_array_equal(found.status, wanted.status)
    np.testing.assert_array_equal(found.indices, wanted.indices)
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("gap", [0, 1])
def test_the_launcher_answers_as_its_twin(
    device: HostDevice, library: Library, dtype: str, layout: str, gap: int
) -> None:
    case = random_case(
        np.random.default_rng(1),
        (5, 37, 3, 4),
        60,
        dtype=dtype,
        layout=layout,
        gaps=(0, gap, gap, gap),
        weight_gap=gap,
    )
    found = launched(device, fused(device, library, case), case.features, case.top_k, 60)
    assert_same(found, answered(case))


def test_the_twin_is_the_rule(library: Library) -> None:
    case = random_case(np.random.default_rng(2), (3, 30, 4, 4), 50, dtype="int8")
    found = answered(case)
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, expected(case), rtol=1e-6)
    assert found.indices.tolist() == np.argsort(-expected(case), axis=1)[:, :5].tolist()


LOGITS = {
    "ties": [3.0, -1.0, 3.0, 0.0, -0.0, 3.0],
    "a NaN": [3.0, np.nan, 0.0, 0.0, 0.0, 0.0],
    "an infinite one": [np.inf, 1.0, 0.0, 0.0, 0.0, 0.0],
    "minus infinity alone": [-np.inf] * 6,
    "minus infinity among others": [-np.inf, 1.0, 1.0, -np.inf, 2.0, -np.inf],
}


@pytest.mark.parametrize("values", LOGITS.values(), ids=LOGITS)
def test_ties_and_what_has_no_softmax_are_the_kernels(
    device: HostDevice, library: Library, values: list[float]
) -> None:
    bias = np.array(values, np.float32)
    case = Case(np.zeros((2, 4, 2, 2), np.float32), np.ones((6, 4), np.float32), bias)
    wanted = answered(case)
    assert_same(launched(device, fused(device, library, case), case.features, 5, 6), wanted)
    assert (wanted.status[0] == 10) == bool(np.isnan(bias).any() or np.isinf(bias.max()))


def test_batches_take_turns_without_a_byte_of_memory_taken(device: HostDevice, library: Library) -> None:
    """What one batch size leaves in its workspace must not be another's tickets."""
    cases = [random_case(np.random.default_rng(n), (n, 16, 3, 3), 200) for n in (1, 40, 6)]
    weights, bias = cases[0].weights, cases[0].bias
    made = fused(device, library, cases[0])
    answers = [room(device, len(case.features), 5, 200) for case in cases]
    launches = [made.bind(Lent(device, case.features), answer) for case, answer in zip(cases, answers)]
    taken = device.taken
    for turn in (0, 1, 2, 0, 2, 1, 0):
        launches[turn]()
        found = Answer(**{name: array.numpy() for name, array in vars(answers[turn]).items()})
        assert_same(found, reference(cases[turn].features, weights, bias))
    for case, answer in zip(cases, answers):
        made.bind(Lent(device, case.features), answer)
    assert device.taken == taken


def test_a_closed_head_is_not_launched(device: HostDevice, library: Library) -> None:
    """The workspace may be another's by then."""
    case = random_case(np.random.default_rng(3), (2, 8, 3, 3), 40)
    made = fused(device, library, case)
    answer = room(device, 2, 5, 40)
    launch = made.bind(Lent(device, case.features), answer)
    made.close()
    with pytest.raises(InputError, match="the head is closed"):
        launch()
    with pytest.raises(InputError, match="the head is closed"):
        made.bind(Lent(device, case.features), answer)
    assert np.all(answer.status.numpy() == -77)


def test_closing_gives_the_workspaces_back(device: HostDevice, library: Library) -> None:
    case = random_case(np.random.default_rng(3), (2, 8, 3, 3), 40)
    made = fused(device, library, case)
    made.bind(Lent(device, case.features), answer := room(device, 2, 5, 40))
    assert len(device.open) == 5
    made.close()
    made.close()
    for array in vars(answer).values():
        array.close()
        array.close()
    assert not device.open


def test_probabilities_are_optional(device: HostDevice, library: Library) -> None:
    case = random_case(np.random.default_rng(4), (2, 8, 3, 3), 40)
    full = room(device, 2, 5, 40)
    made = fused(device, library, case)
    made.bind(Lent(device, case.features), Answer(full.indices, full.scores, full.status))()
    assert np.array_equal(full.indices.numpy(), answered(case).indices)
    assert full.probabilities is not None and np.all(full.probabilities.numpy() == -77)


def test_the_stream_is_passed_on(device: HostDevice, library: Library) -> None:
    seen: list[int | None] = []
    case = random_case(np.random.default_rng(5), (2, 8, 3, 3), 40)
    under = functions(library)

    def launch(args: Any, stream: Any) -> int:
        seen.append(stream.value)
        return under.launch(args, stream)

    made = FusedHead(
        under._replace(launch=launch), device, Lent(device, case.weights), stream=0x7FFF_1234_5678
    )
    made.bind(Lent(device, case.features), room(device, 2, 5, 40))()
    assert seen == [0x7FFF_1234_5678]


@pytest.mark.parametrize(("layout", "told"), [("NCHW", 0), ("NHWC", 1)])
def test_the_kernel_is_told_which_stride_is_the_small_one(
    device: HostDevice, library: Library, layout: str, told: int
) -> None:
    """It lays out threads by it: a wrong one is as right, and slow."""
    seen: list[int] = []

    def launch(args: Any, stream: Any) -> int:
        seen.append(args._obj.layout)
        return 0

    case = random_case(np.random.default_rng(5), (2, 8, 3, 3), 40, layout=layout)
    made = FusedHead(functions(library)._replace(launch=launch), device, Lent(device, case.weights))
    made.bind(Lent(device, case.features), room(device, 2, 5, 40))()
    assert seen == [told]


def features(*shape: int, dtype: type = np.float32) -> Array:
    return np.zeros(shape, dtype)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "features of another dtype": (
        {"features": features(2, 8, 3, 3, dtype=np.float64)},
        "float64.*float32, float16 or int8",
    ),
    "features of another byte order": ({"features": features(2, 8, 3, 3).astype(">f4")}, ">f4"),
    "features that are flat": ({"features": features(2, 8)}, r"\(N, C, H, W\)"),
    "another number of channels": ({"features": features(2, 9, 3, 3)}, "for 8 channels, and features have 9"),
    "int8 without a scale": ({"features": features(2, 8, 3, 3, dtype=np.int8)}, "a scale belongs to int8"),
    "a scale without int8": ({"scale": 0.5}, "a scale belongs to int8"),
    "a scale of zero": (
        {"features": features(2, 8, 3, 3, dtype=np.int8), "scale": 0.0},
        "above 0 and finite",
    ),
    "a scale of NaN": (
        {"features": features(2, 8, 3, 3, dtype=np.int8), "scale": np.nan},
        "above 0 and finite",
    ),
    "a scale that is zero as float32": (
        {"features": features(2, 8, 3, 3, dtype=np.int8), "scale": 1e-60},
        "above 0 and finite",
    ),
    "a scale that is infinite as float32": (
        {"features": features(2, 8, 3, 3, dtype=np.int8), "scale": 1e39},
        "above 0 and finite",
    ),
    "a scale that is no number": (
        {"features": features(2, 8, 3, 3, dtype=np.int8), "scale": "0.5"},
        "scale '0.5' is not a float32",
    ),
    "half a class": ({"top_k": 2.5}, "a whole number from 1 to 32"),
    "a top-k that is no number": ({"top_k": "5"}, "top_k '5' of 40 classes"),
    "weights of another dtype": ({"weights": np.zeros((40, 8), np.int8)}, "weights are int8"),
    "zero classes": ({"weights": np.zeros((0, 8), np.float32), "bias": None}, "classes|empty"),
    "bias of another length": ({"bias": np.zeros(39, np.float32)}, r"bias is float32 \(39,\)"),
    "bias of another dtype": ({"bias": np.zeros(40)}, "bias is float64"),
    "no top-k": ({"top_k": 0}, "from 1 to 32"),
    "more than the classes": (
        {"weights": np.zeros((4, 8), np.float32), "bias": None, "top_k": 5},
        "from 1 to 4",
    ),
    "more than the kernel ranks": ({"top_k": 33}, "from 1 to 32"),
}


def bound(
    device: HostDevice, library: Library, *, top_k: int, scale: float | None, **arrays: Array | None
) -> None:
    """All the way to a launch."""
    lent = {name: None if array is None else Lent(device, array) for name, array in arrays.items()}
    made = FusedHead(functions(library), device, lent["weights"], lent["bias"], top_k=top_k, scale=scale)
    made.bind(lent["features"], room(device, 2, 5, 40))


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("by", ["launcher", "twin"])
def test_what_is_refused_in_one_line(device: HostDevice, library: Library, by: str, name: str) -> None:
    changes, words = REFUSED[name]
    given: dict[str, Any] = {
        "features": features(2, 8, 3, 3),
        "weights": np.zeros((40, 8), np.float32),
        "bias": np.zeros(40, np.float32),
        "top_k": 5,
        "scale": None,
        **changes,
    }
    with pytest.raises(InputError, match=words) as caught:
        bound(device, library, **given) if by == "launcher" else reference(**given)
    assert "\n" not in caught.value.problem
    assert caught.value.hint


Lie = Callable[[HostDevice], Answer[Any]]


def changed(name: str, array: Callable[[HostDevice], object]) -> Lie:
    """Outputs of which one is not as it must be."""
    return lambda device: Answer(**{**vars(room(device, 2, 5, 40)), name: array(device)})


OUTPUTS: dict[str, tuple[Lie, str]] = {
    "on the host": (changed("scores", lambda _: np.zeros((2, 5), np.float32)), "numpy.ndarray on the host"),
    "missing": (changed("indices", lambda _: None), "NoneType on the host"),
    "of another dtype": (
        changed("indices", lambda device: OnDevice(device, np.zeros((2, 5), np.int64))),
        r"indices is int64 .* writes int32 \(2, 5\)",
    ),
    "of another batch": (
        changed("status", lambda device: OnDevice(device, np.zeros(3, np.int32))),
        r"status is int32 \(3,\); the head writes int32 \(2,\)",
    ),
    "strided": (
        changed("scores", lambda device: Lent(device, np.zeros((2, 10), np.float32)[:, ::2])),
        "scores is not contiguous",
    ),
    "read-only": (
        changed("scores", lambda device: Lent(device, frozen(np.zeros((2, 5), np.float32)))),
        "scores is read-only",
    ),
    "small probabilities": (
        changed("probabilities", lambda device: OnDevice(device, np.zeros((2, 39), np.float32))),
        r"writes float32 \(2, 40\)",
    ),
}


def frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_that_cannot_be_written_are_refused(device: HostDevice, library: Library, name: str) -> None:
    lie, words = OUTPUTS[name]
    case = random_case(np.random.default_rng(6), (2, 8, 3, 3), 40)
    with pytest.raises(InputError, match=words):
        fused(device, library, case).bind(Lent(device, case.features), lie(device))


def test_weights_have_their_channels_side_by_side(device: HostDevice, library: Library) -> None:
    with pytest.raises(InputError, match="weights are not contiguous: 40 elements from channel to channel"):
        FusedHead(functions(library), device, Lent(device, np.zeros((8, 40), np.float32).T))


BEYOND = 2**32 + 8
"""What ctypes would cut to 8 without a word."""
SIZES = {
    "a batch": ((65536, 8, 1, 1), (40, 8), "a batch is at most 65535"),
    "a plane": ((1, 8, 4096, 4097), (40, 8), "a plane 16777216 pixels"),
    "a batch beyond 32 bits": ((BEYOND, 8, 1, 1), (40, 8), "a batch is at most 65535"),
    "channels beyond 32 bits": ((2, BEYOND, 3, 3), (40, BEYOND), "every size is from 1 to 2147483647"),
    "classes beyond 32 bits": ((2, 8, 3, 3), (BEYOND, 8), "it takes from 1 to 2147483647"),
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_that_overflow_are_refused(device: HostDevice, library: Library, name: str) -> None:
    given, linear, words = SIZES[name]
    case = random_case(np.random.default_rng(7), (2, 8, 3, 3), 40)
    made = FusedHead(functions(library), device, Lent(device, case.weights, shape=linear, strides=(4, 4)))
    with pytest.raises(InputError, match=words):
        made.bind(Lent(device, case.features, shape=given, strides=(0, 4, 4, 4)), room(device, 2, 5, 40))


def test_strides_beyond_64_bits_and_an_end_that_is_elsewhere_are_refused_before_the_launch(
    device: HostDevice, library: Library
) -> None:
    case = random_case(np.random.default_rng(8), (2, 8, 3, 3), 40)
    lie = Lent(device, case.features, shape=(3, 8, 3, 3), strides=(2**62, 4, 4, 4))
    with pytest.raises(InputError, match="beyond 64 bits"):
        fused(device, library, case).bind(lie, room(device, 3, 5, 40))
    made = fused(device, library, case)
    far = Lent(device, case.features, strides=(2**50, 36, 12, 4))
    with pytest.raises(
        InputError, match=r"the last byte of features is at 0x.*strides \(281474976710656, 9, 3, 1\)"
    ):
        made.bind(far, room(device, 2, 5, 40))
    full = room(device, 2, 5, 40)
    few = Lent(device, np.zeros((1, 5), np.int32), shape=(2, 5))
    short: Answer[Any] = Answer(few, full.scores, full.status, full.probabilities)
    with pytest.raises(InputError, match="the last byte of indices is at 0x"):
        made.bind(Lent(device, case.features), short)


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (9, BackendError, "did not start"),
        (8, EdgetlError, "workspace"),
        (7, InputError, "multiple of its element"),
    ],
)
def test_a_status_of_the_kernel_is_an_error(
    device: HostDevice, library: Library, code: int, kind: type[EdgetlError], words: str
) -> None:
    case = random_case(np.random.default_rng(9), (2, 8, 3, 3), 40)
    failing: HeadFunctions = functions(library)._replace(launch=lambda args, stream: code)
    made = FusedHead(failing, device, Lent(device, case.weights))
    launch = made.bind(Lent(device, case.features), room(device, 2, 5, 40))
    with pytest.raises(kind, match=words) as caught:
        launch()
    assert type(caught.value) is kind


def test_the_limits_are_those_of_the_header() -> None:
    text = (KERNELS / "include" / "edgetl_head.h").read_text()
    assert f"EDGETL_HEAD_MAX_TOP_K = {head_checks.MAX_TOP_K}," in text
    assert f"EDGETL_HEAD_MAX_BATCH = {head_checks.MAX_BATCH}," in text
    assert "EDGETL_HEAD_MAX_PIXELS = 1 << 24" in text
    assert head_checks.MAX_PIXELS == 1 << 24
