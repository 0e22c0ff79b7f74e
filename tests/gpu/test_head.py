"""The fused head on a GPU: its twin's answers, its refusals, its memory, and what compute-sanitizer says of it."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edgetl.errors import InputError
from edgetl.ops.device import OnDevice
from edgetl.ops.head import Answer, FusedHead, HeadFunctions, reference
from edgetl.ops.library import Library
from edgetl.ops.on_cuda import CudaDevice
from edgetl.ops.opening import GpuHead
from tests.gpu.conftest import SANITIZERS, assert_leaves_memory, assert_sanitized
from tests.kernels.head_on_host import Case, random_case

Array = npt.NDArray[Any]

SIZES = {
    "ResNet-50": ((1, 2048, 7, 7), 1000),
    "MobileNetV2, batch 8": ((8, 1280, 7, 7), 1000),
    "batch 64": ((64, 40, 2, 2), 20),
    "awkward": ((19, 111, 7, 7), 999),
    "21k classes": ((1, 24, 2, 2), 21841),
    "more channels than a chunk": ((2, 2051, 3, 2), 33),
}


def scale_of(case: Case) -> float | None:
    """With INT8 features alone."""
    return case.scale if case.features.dtype == np.int8 else None


def opened(kernels: Library, device: CudaDevice, case: Case) -> GpuHead:
    """The head of a case."""
    return GpuHead(kernels, device, case.weights, case.bias, top_k=case.top_k, scale=scale_of(case))


def assert_same(found: Answer[Array], case: Case) -> None:
    """As float32 sums allow."""
    wanted = reference(case.features, case.weights, case.bias, top_k=case.top_k, scale=scale_of(case))
    assert found.probabilities is not None and wanted.probabilities is not None
    np.testing.assert_array_equal(found.status, wanted.status)
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-4, atol=1e-6)
    picked = np.take_along_axis(found.probabilities, found.indices.astype(np.int64), axis=1)
    np.testing.assert_array_equal(picked, found.scores)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("weights", ["float32", "float16"])
@pytest.mark.parametrize("size", SIZES)
def test_answers_are_the_twins(
    kernels: Library, device: CudaDevice, size: str, dtype: str, weights: str
) -> None:
    shape, classes = SIZES[size]
    case = random_case(np.random.default_rng(1), shape, classes, dtype=dtype, weights=weights)
    head = opened(kernels, device, case)
    assert_same(head.run(case.features), case)
    head.close()


class Moved:
    """A view into device memory, with the strides and the offset of a view of the host's."""

    def __init__(self, device: CudaDevice, view: Array) -> None:
        low, high = np.lib.array_utils.byte_bounds(view)
        phase = low % 16  # the device's allocations are aligned further than that
        root = np.zeros(high - low + phase, np.uint8)
        root[phase:] = np.ctypeslib.as_array((ctypes.c_ubyte * (high - low)).from_address(low))
        self._room = OnDevice(device, root)
        start = self._room.__cuda_array_interface__["data"][0] + phase + view.ctypes.data - low
        self.__cuda_array_interface__ = {**view.__array_interface__, "version": 3, "data": (start, False)}
        self.close = self._room.close


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("gap", [0, 1, 4])
@pytest.mark.parametrize("offset", [0, 1, 4])
def test_strides_and_alignment(
    kernels: Library, device: CudaDevice, dtype: str, layout: str, gap: int, offset: int
) -> None:
    case = random_case(
        np.random.default_rng(2),
        (5, 37, 3, 4),
        60,
        dtype=dtype,
        layout=layout,
        gaps=(0, gap, gap, gap),
        weight_gap=gap,
        offset=offset,
    )
    assert case.bias is not None
    given = {name: Moved(device, getattr(case, name)) for name in ("features", "weights", "bias")}
    answer = Answer(
        OnDevice(device, np.full((5, 5), -77, np.int32)),
        OnDevice(device, np.full((5, 5), -77, np.float32)),
        OnDevice(device, np.full(5, -77, np.int32)),
        OnDevice(device, np.full((5, 60), -77, np.float32)),
    )
    functions = HeadFunctions.of(kernels.functions)
    head = FusedHead(functions, device, given["weights"], given["bias"], scale=scale_of(case))
    launch = head.bind(given["features"], answer)
    for _ in range(3):  # the workspace's tickets come back to zero
        launch()
        assert_same(Answer(**{name: array.numpy() for name, array in vars(answer).items()}), case)
    head.close()
    for owned in (*given.values(), *vars(answer).values()):
        owned.close()


@pytest.mark.parametrize(
    "values", [[3.0, -1.0, 3.0, 0.0, 3.0], [np.nan] + [0.0] * 4, [np.inf] * 5, [-np.inf] * 5]
)
def test_ties_and_what_has_no_softmax(kernels: Library, device: CudaDevice, values: list[float]) -> None:
    bias = np.array(values, np.float32)
    case = Case(np.zeros((2, 4, 2, 2), np.float32), np.ones((5, 4), np.float32), bias)
    head = opened(kernels, device, case)
    found = head.run(case.features)
    wanted = reference(case.features, case.weights, bias)
    np.testing.assert_array_equal(found.indices, wanted.indices)
    np.testing.assert_array_equal(found.status, wanted.status)
    head.close()


def test_the_same_bits_every_time(kernels: Library, device: CudaDevice) -> None:
    """Whichever block is the last merges in the same order."""
    case = random_case(np.random.default_rng(3), (6, 256, 7, 7), 3000)
    head = opened(kernels, device, case)
    first = head.run(case.features)
    for _ in range(1000):
        again = head.run(case.features)
        assert np.array_equal(again.scores, first.scores) and np.array_equal(again.indices, first.indices)
    head.close()


def test_an_array_of_the_host_is_refused(kernels: Library, device: CudaDevice) -> None:
    functions = HeadFunctions.of(kernels.functions)

    class Host:
        def __init__(self, array: Array) -> None:
            self.__cuda_array_interface__ = {**array.__array_interface__, "version": 3}
            self.array = array

    with pytest.raises(InputError, match="no memory of CUDA's"):
        FusedHead(functions, device, Host(np.zeros((10, 4), np.float32)))


def test_opening_and_closing_leaves_the_devices_memory_as_it_was(
    kernels: Library, device: CudaDevice
) -> None:
    case = random_case(np.random.default_rng(4), (8, 1280, 7, 7), 1000)

    def once() -> None:
        head = opened(kernels, device, case)  # 7 MB: a leak of one in fifty shows
        head.run(case.features)
        head.close()

    assert_leaves_memory(device, once)


@pytest.mark.slow
@pytest.mark.parametrize("tool", SANITIZERS)
def test_compute_sanitizer_finds_nothing(kernels: Library, tool: str) -> None:
    """Under it are the tests above that look at answers."""
    assert_sanitized(tool, Path(__file__), "twins or strides or ties")
