"""The host's part of a launch in Python: the plan is the header's, and the driver is called as it wants to be."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl.errors import BackendError, EnvironmentLacks
from edgetl.ops import cubin, on_cuda
from edgetl.ops.cubin import Plan
from edgetl.ops.head import Answer, FusedHead, HeadArgs, reference
from tests.kernels.head_on_host import Library, arguments, random_case
from tests.ops.host_cuda import ENTRIES, HostCuda
from tests.ops.host_device import HostDevice, Lent

IMAGE = b"a cubin"
SIDES = st.integers(1, 9)


def room(device: HostDevice, batch: int, classes: int) -> Answer[Lent]:
    """Arrays to write to, five of the classes."""
    kinds = {"indices": np.int32, "scores": np.float32}
    return Answer(
        **{name: Lent(device, np.zeros((batch, 5), kind)) for name, kind in kinds.items()},
        status=Lent(device, np.zeros(batch, np.int32)),
        probabilities=Lent(device, np.zeros((batch, classes), np.float32)),
    )


def test_the_plan_is_as_long_as_the_headers(library: Library) -> None:
    library.test_plan_bytes.restype = ctypes.c_uint64
    assert ctypes.sizeof(Plan) == library.test_plan_bytes()


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_the_plan_is_the_headers(library: Library, data: st.DataObject) -> None:
    batch, channels = data.draw(st.sampled_from([1, 2, 4, 5, 19])), data.draw(st.integers(1, 40))
    shape = (batch, channels, data.draw(SIDES), data.draw(SIDES))
    case = random_case(
        np.random.default_rng(0),
        shape,
        data.draw(st.integers(1, 700)),
        dtype=data.draw(st.sampled_from(["float32", "float16", "int8"])),
        weights=data.draw(st.sampled_from(["float32", "float16"])),
        layout=data.draw(st.sampled_from(["NCHW", "NHWC"])),
        gaps=data.draw(st.tuples(*[st.integers(0, 4)] * 4)),
        weight_gap=data.draw(st.integers(0, 8)),
        offset=data.draw(st.integers(0, 4)),
        multiprocessors=data.draw(st.sampled_from([1, 2, 8, 108])),
    )
    args = arguments(case)
    args.indices = args.scores = args.status = args.workspace = 0x1000
    args.workspace_bytes = 1 << 40
    wanted = Plan()
    assert library.test_plan(ctypes.byref(args), ctypes.byref(wanted)) == 0
    found = cubin.plan_of(args)
    for name, *_ in Plan._fields_:
        assert getattr(found, name) == getattr(wanted, name), name


def test_the_workspace_is_the_headers(library: Library) -> None:
    loaded = cubin.functions(IMAGE, ENTRIES, toolkit="12.6.68", cuda=HostCuda(library))
    cases = [(1, 1, 1, 1), (1, 21841, 5, 108), (19, 999, 32, 8), (64, 1000, 5, 16)]
    for batch, classes, top_k, processors in cases:
        sizes = {"batch": batch, "classes": classes, "top_k": top_k, "multiprocessors": processors}
        args = HeadArgs(channels=8, height=1, width=1, weight_stride=8, feature_scale=1.0, **sizes)
        found, wanted = ctypes.c_uint64(), ctypes.c_uint64()
        assert loaded.workspace(ctypes.byref(args), ctypes.byref(found)) == 0
        assert library.edgetl_head_workspace(ctypes.byref(args), ctypes.byref(wanted)) == 0
        assert found.value == wanted.value


@pytest.mark.parametrize(("batch", "weights"), [(1, "float32"), (7, "float16")])
def test_a_launch_names_its_kernel_and_gives_it_arguments_and_plan(
    device: HostDevice, library: Library, batch: int, weights: str
) -> None:
    case = random_case(np.random.default_rng(batch), (batch, 24, 3, 3), 50, weights=weights)
    cuda = HostCuda(library)
    loaded = cubin.functions(IMAGE, ENTRIES, toolkit="12.6.68", cuda=cuda)
    head = FusedHead(
        loaded, device, Lent(device, case.weights), Lent(device, np.asarray(case.bias)), stream=0x77
    )
    answer = room(device, batch, 50)
    head.bind(Lent(device, case.features), answer)()
    wanted = reference(case.features, case.weights, case.bias)
    np.testing.assert_array_equal(answer.indices.array, wanted.indices)
    np.testing.assert_allclose(answer.scores.array, wanted.scores, rtol=1e-4)
    (launch,) = cuda.launches
    assert cuda.image == IMAGE
    assert launch.name == ENTRIES[f"{1 if batch == 1 else 4} {weights}"]
    assert (launch.grid, launch.block) == ((4, 1 if batch == 1 else 2, 1), (512, 1, 1))
    assert launch.stream == 0x77
    head.close()


def test_a_launch_that_cuda_refuses_is_an_error_with_its_code(device: HostDevice, library: Library) -> None:
    case = random_case(np.random.default_rng(1), (1, 24, 3, 3), 50)
    loaded = cubin.functions(IMAGE, ENTRIES, toolkit="12.6.68", cuda=HostCuda(library, cuLaunchKernel=719))
    head = FusedHead(loaded, device, Lent(device, case.weights))
    launch = head.bind(Lent(device, case.features), room(device, 1, 50))
    with pytest.raises(BackendError, match="CUDA refused the launch with code 719"):
        launch()
    head.close()


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        ({"cuModuleLoadData": 209}, "cuModuleLoadData failed with code 209"),
        ({"cuModuleGetFunction": 500}, "cuModuleGetFunction failed with code 500"),
        ({"version": 11080}, "it is of CUDA 12.6.68, and this driver serves CUDA 11.8"),
    ],
)
def test_a_driver_that_does_not_take_it_lacks_something(
    library: Library, codes: dict[str, Any], words: str
) -> None:
    with pytest.raises(EnvironmentLacks, match=words) as caught:
        cubin.functions(IMAGE, ENTRIES, toolkit="12.6.68", cuda=HostCuda(library, **codes))
    assert caught.value.exit_code == 5
    assert "nvcc" in caught.value.hint


def test_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_cuda, "LIBRARY", "libnot-here.so.1")
    with pytest.raises(EnvironmentLacks, match=r"no NVIDIA driver: libnot-here\.so\.1 is not there"):
        cubin.functions(IMAGE, ENTRIES, toolkit="12.6.68")
