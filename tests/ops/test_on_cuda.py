"""The GPU that is there, with a driver of the tests under it: no call here reaches CUDA."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgetl.errors import BackendError, EnvironmentLacks
from edgetl.ops import on_cuda
from edgetl.ops.device import OnDevice
from edgetl.ops.on_cuda import CudaDevice


class Driver:
    """Memory of the host."""

    def __init__(self) -> None:
        self.memory: list[Any] = []

    @contextmanager
    def current(self) -> Iterator[None]:
        """Nothing to do."""
        yield

    def allocate(self, size: int) -> Any:
        """Not zeroed, as a GPU's."""
        room = np.full(size, 77, np.uint8)
        self.memory.append(room)
        return SimpleNamespace(pointer=room.ctypes.data, close=lambda: None)


class Cuda:
    """The functions of ``libcuda`` that are called, on memory of the host; GPU 3 with 8 multiprocessors."""

    ATTRIBUTES = {16: 8, 75: 8, 76: 7}

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.failing: dict[str, int] = {}
        self.owner = 3

    def __getattr__(self, name: str) -> Any:
        call = type(self).__dict__[f"do_{name}"]

        def counted(*arguments: Any) -> int:
            self.calls.append(name)
            return self.failing.get(name, 0) or call(self, *arguments) or 0

        return counted

    def do_cuCtxGetDevice(self, out: Any) -> None:
        out._obj.value = 3

    def do_cuDeviceGetAttribute(self, out: Any, number: int, ordinal: int) -> None:
        assert ordinal == 3
        out._obj.value = self.ATTRIBUTES[number]

    def do_cuMemsetD8_v2(self, to: Any, value: Any, size: Any) -> None:
        ctypes.memset(to.value, value.value, size.value)

    def do_cuMemcpyHtoD_v2(self, to: Any, source: Any, size: Any) -> None:
        ctypes.memmove(to.value, source.value, size.value)

    def do_cuMemcpyDtoH_v2(self, to: Any, source: Any, size: Any) -> None:
        ctypes.memmove(to.value, source.value, size.value)

    def do_cuStreamSynchronize(self, stream: Any) -> None:
        self.calls[-1] += f"({stream and stream.value})"

    def do_cuPointerGetAttribute(self, out: Any, number: int, address: Any) -> int:
        assert number == 9
        out._obj.value = self.owner
        return 0 if address.value else 1


def test_what_the_gpu_is() -> None:
    device = CudaDevice(Driver(), Cuda())
    assert (device.capability, device.multiprocessors) == ("8.7", 8)


def test_memory_is_zero_for_every_stream_before_it_is_handed_out() -> None:
    cuda, driver = Cuda(), Driver()
    CudaDevice(driver, cuda).zeros(100)
    assert not driver.memory[0].any()
    assert cuda.calls[-2:] == ["cuMemsetD8_v2", "cuStreamSynchronize(None)"]


def test_values_go_there_and_come_back_after_the_streams_work() -> None:
    cuda = Cuda()
    array = OnDevice(CudaDevice(Driver(), cuda), np.arange(6, dtype=np.int32))
    assert array.numpy(0x7FFF_0000_0010).tolist() == list(range(6))
    assert cuda.calls[-2:] == [f"cuStreamSynchronize({0x7FFF_0000_0010})", "cuMemcpyDtoH_v2"]


def test_whose_memory_an_address_is() -> None:
    cuda = Cuda()
    device = CudaDevice(Driver(), cuda)
    assert device.lacks(0x7FFF_0000_0010) == ""
    assert "no memory of CUDA's" in device.lacks(0)
    cuda.owner = 1
    assert device.lacks(64) == "is on GPU 1, and the kernel runs on GPU 3"


def test_a_call_that_fails_is_named_with_its_code() -> None:
    cuda = Cuda()
    cuda.failing["cuCtxGetDevice"] = 201
    with pytest.raises(BackendError, match="cuCtxGetDevice failed with code 201"):
        CudaDevice(Driver(), cuda)


def test_no_driver_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_cuda, "LIBRARY", "libcuda-that-is-not-here.so.1")
    with pytest.raises(EnvironmentLacks, match="no NVIDIA driver") as caught:
        CudaDevice(Driver())
    assert caught.value.exit_code == 5
