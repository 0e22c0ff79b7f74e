"""CUDA by PyCUDA: the only module that imports it, and only when the driver has answered.

PyCUDA's objects belong to the context that is on top of its own stack when they are made, and give themselves back in
that context or, from another thread without it, not at all. So all work is between a push and a pop, nothing is left
to a destructor, and pinned memory, which an array of a caller may hold last, pushes the context itself.
"""

from __future__ import annotations

import importlib.util
import weakref
from collections.abc import Callable, Mapping
from functools import cache
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl.backends import driver
from edgetl.backends.checks import without_paths
from edgetl.backends.cuda import graph, waiting
from edgetl.backends.cuda.driver import DeviceMemory, Event, Graph, PinnedArray, Stream
from edgetl.errors import BackendError, EdgetlError, EnvironmentLacks

__all__ = ["Current", "PyCudaDriver", "PyCudaEvent", "PyCudaMemory", "PyCudaStream", "find"]

Array = npt.NDArray[Any]

NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING, which PyCUDA has no name for."""
MEND = "pip install 'edgetl[tensorrt]'   compiles it: nvcc has to be on PATH (export PATH=/usr/local/cuda/bin:$PATH)"


@cache
def find() -> PyCudaDriver:
    """The first GPU, after ``CUDA_VISIBLE_DEVICES``.

    Its primary context is retained once and held while the process lives, as CUDA's runtime below TensorRT holds it:
    PyCUDA's own release of it pushes without a pop, and does nothing at all on another thread than the first.

    Raises
    ------
    EnvironmentLacks : there is no driver, no GPU, or PyCUDA is not installed or does not fit the driver.
    """
    answered = driver.find()
    if answered.reason:
        raise EnvironmentLacks(answered.reason, hint=driver.MEND)
    if importlib.util.find_spec("pycuda") is None:
        raise EnvironmentLacks("PyCUDA is not installed, and runs engines on the GPU", hint=MEND)
    try:
        import pycuda.driver as cuda
    except ImportError as error:
        raise EnvironmentLacks(f"PyCUDA does not load: {without_paths(str(error))}", hint=MEND) from error
    try:
        cuda.init()
        waits = waiting.pin()  # before the context is made
        return PyCudaDriver(cuda, cuda.Device(0), waits)
    except cuda.Error as error:
        raise _told(cuda, error) from error


class Current:
    """``with`` this, the primary context is the thread's own, and PyCUDA's errors are ours."""

    def __init__(self, cuda: Any, context: Any) -> None:
        self._cuda = cuda
        self._context = context

    def __enter__(self) -> None:
        try:
            self._context.push()
        except self._cuda.Error as error:
            raise _told(self._cuda, error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.pop()
        if isinstance(error, self._cuda.Error):
            raise _told(self._cuda, error) from error


class PyCudaStream:
    """A stream; see ``edgetl.backends.cuda.driver``."""

    def __init__(self, stream: Any) -> None:
        self.vendor: Any = stream
        self.handle = int(stream.handle)

    def synchronize(self) -> None:
        """Return when all work on it is done."""
        self.vendor.synchronize()

    def close(self) -> None:
        """Give it back: PyCUDA has a destructor for that, and nothing else holds what this held."""
        self.vendor = None


class PyCudaEvent:
    """An event; see ``edgetl.backends.cuda.driver``."""

    def __init__(self, event: Any) -> None:
        self.vendor: Any = event

    def record(self, stream: Stream) -> None:
        """Mark the moment."""
        assert isinstance(stream, PyCudaStream)
        self.vendor.record(stream.vendor)

    def milliseconds_since(self, start: Event) -> float:
        """Between two moments that have passed."""
        assert isinstance(start, PyCudaEvent)
        return float(self.vendor.time_since(start.vendor))

    def close(self) -> None:
        """Give it back, as a stream."""
        self.vendor = None


class PyCudaMemory:
    """Memory on the device; see ``edgetl.backends.cuda.driver``."""

    def __init__(self, allocation: Any) -> None:
        self.vendor: Any = allocation
        self.pointer = int(allocation)

    def close(self) -> None:
        """Give it back."""
        if self.vendor is not None:
            self.vendor.free()
            self.vendor = None


class PyCudaDriver:
    """One GPU and its primary context; see ``edgetl.backends.cuda.driver.CudaDriver``.

    Parameters
    ----------
    cuda : the module ``pycuda.driver``, initialised. device : of it. waits : how threads wait for it.
    """

    def __init__(self, cuda: Any, device: Any, waits: str) -> None:
        self._cuda = cuda
        self._current = Current(cuda, device.retain_primary_context())
        self.no_graphs = graph.missing()
        self.integrated = bool(device.get_attribute(cuda.device_attribute.INTEGRATED))
        self.facts: Mapping[str, str] = {
            "gpu": str(device.name()),
            "binding": f"pycuda {_version('pycuda')}",
            "wait": waits,
        }

    def current(self) -> Current:
        """The primary context, for a block."""
        return self._current

    def stream(self) -> PyCudaStream:
        """A stream that does not wait for the default one."""
        return PyCudaStream(self._cuda.Stream(NON_BLOCKING))

    def event(self) -> PyCudaEvent:
        """An event that takes the time."""
        return PyCudaEvent(self._cuda.Event())

    def allocate(self, size: int) -> PyCudaMemory:
        """So many bytes on the device."""
        return PyCudaMemory(self._cuda.mem_alloc(size))

    def pinned(self, size: int, *, mapped: bool) -> PinnedArray:
        """So many bytes on the host, given back with the last array that looks into them."""
        flags = self._cuda.host_alloc_flags.DEVICEMAP if mapped else 0
        owned = self._cuda.pagelocked_empty(size, np.uint8, mem_flags=flags)
        pointer = int(owned.base.get_device_pointer()) if mapped else None
        lent = _Lent(owned)
        weakref.finalize(lent, _give_back, self._current, owned.base).atexit = False
        return PinnedArray(np.asarray(lent), pointer)

    def copy_in(self, memory: DeviceMemory, array: Array, stream: Stream) -> None:
        """From a pinned array to the device."""
        assert isinstance(stream, PyCudaStream)
        self._cuda.memcpy_htod_async(memory.pointer, array, stream.vendor)

    def copy_out(self, array: Array, memory: DeviceMemory, stream: Stream) -> None:
        """From the device to a pinned array."""
        assert isinstance(stream, PyCudaStream)
        self._cuda.memcpy_dtoh_async(array, memory.pointer, stream.vendor)

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """A graph of what ``work`` puts on the stream."""
        return graph.capture(stream, work)


class _Lent:
    """What arrays of pinned memory have as their base, so that the last of them is noticed."""

    def __init__(self, owned: Array) -> None:
        self.__array_interface__ = owned.__array_interface__


def _give_back(current: Current, allocation: Any) -> None:
    with current:
        allocation.free()


def _told(cuda: Any, error: Exception) -> EdgetlError:
    words = without_paths(str(error))
    if isinstance(error, cuda.MemoryError):
        return EnvironmentLacks(
            f"the GPU has no memory left: {words}",
            hint="close other programs that use it, or fewer threads or a smaller batch",
            vendor=words,
        )
    return BackendError(f"CUDA failed: {words}", hint="--debug shows all it said", vendor=words)


def _version(distribution: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"
