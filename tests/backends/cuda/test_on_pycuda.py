"""PyCUDA and cuda-python behind the seam: what is called and in which context, on hand-made stand-ins of both."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgetl.backends import driver
from edgetl.backends.cuda import on_pycuda, waiting
from edgetl.backends.cuda.on_pycuda import PyCudaDriver
from edgetl.backends.driver import Driver, Gpu
from edgetl.errors import BackendError, EnvironmentLacks

ORIN = Gpu(name="Orin", capability="8.7", memory_mib=7620, integrated=True)


class Error(Exception):
    """PyCUDA's own hierarchy: all of it below this."""


class OutOfMemory(Error):
    """As ``pycuda.driver.MemoryError``."""


class Context:
    """A primary context; ``depth`` by thread, ``calls`` in order."""

    def __init__(self) -> None:
        self.here = threading.local()
        self.calls: list[str] = []

    @property
    def depth(self) -> int:
        """Pushes without a pop, on this thread."""
        return int(getattr(self.here, "depth", 0))

    def push(self) -> None:
        """On this thread."""
        self.here.depth = self.depth + 1

    def pop(self) -> None:
        """On this thread."""
        self.here.depth = self.depth - 1

    def called(self, name: str) -> None:
        """Note a call; in a context, or not."""
        self.calls.append(name if self.depth == 1 else f"{name} without a context")


class Base:
    """Pinned memory's owner."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def get_device_pointer(self) -> int:
        """An address."""
        return 0x1000

    def free(self) -> None:
        """In a context."""
        self._context.called("free")


@pytest.fixture
def context() -> Context:
    """The GPU's primary context."""
    return Context()


@pytest.fixture
def cuda(context: Context) -> PyCudaDriver:
    """The driver, on a stand-in of ``pycuda.driver``."""

    def pagelocked_empty(size: int, dtype: type, mem_flags: int) -> Any:
        context.called(f"pagelocked_empty flags {mem_flags}")
        held: Any = np.empty(size, dtype)
        return SimpleNamespace(__array_interface__=held.__array_interface__, base=Base(context), held=held)

    def mem_alloc(size: int) -> Any:
        raise OutOfMemory("cuMemAlloc failed: out of memory")

    def fail() -> None:
        raise Error("cuStreamSynchronize failed: an illegal memory access was encountered")

    device = SimpleNamespace(
        retain_primary_context=lambda: context, get_attribute=lambda which: which == 18, name=lambda: "Orin"
    )
    module = SimpleNamespace(
        Error=Error,
        MemoryError=OutOfMemory,
        Stream=lambda flags: SimpleNamespace(handle=7, flags=flags, synchronize=fail),
        pagelocked_empty=pagelocked_empty,
        mem_alloc=mem_alloc,
        host_alloc_flags=SimpleNamespace(DEVICEMAP=2),
        device_attribute=SimpleNamespace(INTEGRATED=18),
    )
    return PyCudaDriver(module, device, "spin")


def test_a_jetson_is_integrated_and_facts_name_the_gpu(cuda: PyCudaDriver) -> None:
    assert cuda.integrated
    assert cuda.facts["gpu"] == "Orin"
    assert cuda.facts["wait"] == "spin"


def test_running_out_of_memory_is_told_with_the_mend(cuda: PyCudaDriver, context: Context) -> None:
    with (
        pytest.raises(EnvironmentLacks, match="the GPU has no memory left: cuMemAlloc") as caught,
        cuda.current(),
    ):
        cuda.allocate(1 << 30)
    assert "smaller batch" in caught.value.hint
    assert context.depth == 0


def test_any_other_failure_is_the_backends(cuda: PyCudaDriver) -> None:
    with pytest.raises(BackendError, match=r"CUDA failed: .*illegal memory access"), cuda.current():
        cuda.stream().synchronize()


@pytest.mark.parametrize("mapped", [False, True])
def test_pinned_memory_goes_with_the_last_array_in_a_context_on_any_thread(
    cuda: PyCudaDriver, context: Context, mapped: bool
) -> None:
    with cuda.current():
        pinned = cuda.pinned(16, mapped=mapped)
    assert pinned.pointer == (0x1000 if mapped else None)
    held = [pinned.array[2:4].view(np.uint16)]
    del pinned
    assert context.calls == [f"pagelocked_empty flags {2 if mapped else 0}"]
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert context.calls[1:] == ["free"]


@pytest.fixture
def fresh() -> Iterator[None]:
    """``find`` answers once a process."""
    on_pycuda.find.cache_clear()
    yield
    on_pycuda.find.cache_clear()


@pytest.mark.usefixtures("fresh")
def test_how_threads_wait_is_set_before_the_context_is_made(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def retain() -> Context:
        order.append("context")
        return context

    def pin() -> str:
        order.append("pinned")
        return "block"

    device = SimpleNamespace(
        retain_primary_context=retain, get_attribute=lambda which: False, name=lambda: "Orin"
    )
    module: Any = ModuleType("pycuda.driver")
    module.Error, module.init, module.Device = Error, lambda: order.append("init"), lambda index: device
    module.device_attribute = SimpleNamespace(INTEGRATED=18)
    package: Any = ModuleType("pycuda")
    package.driver = module
    monkeypatch.setattr(driver, "find", lambda: Driver(gpus=(ORIN,)))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(waiting, "pin", pin)
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", module)
    assert on_pycuda.find().facts["wait"] == "block"
    assert order == ["init", "pinned", "context"]


@pytest.mark.usefixtures("fresh")
def test_no_driver_is_told_before_pycuda_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "find", lambda: Driver(reason="no NVIDIA driver: libcuda.so.1 is not there"))
    with pytest.raises(EnvironmentLacks, match=r"libcuda\.so\.1") as caught:
        on_pycuda.find()
    assert caught.value.hint == driver.MEND


@pytest.mark.usefixtures("fresh")
def test_a_host_without_pycuda_is_told_how_to_compile_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "find", lambda: Driver(gpus=(ORIN,)))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentLacks, match="PyCUDA is not installed") as caught:
        on_pycuda.find()
    assert "nvcc" in caught.value.hint


@pytest.mark.usefixtures("fresh")
def test_a_pycuda_that_does_not_load_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "find", lambda: Driver(gpus=(ORIN,)))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "pycuda", ModuleType("pycuda"))
    with pytest.raises(EnvironmentLacks, match="PyCUDA does not load"):
        on_pycuda.find()
