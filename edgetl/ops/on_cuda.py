"""The GPU that is there, for launchers: context and memory are a driver's (PyCUDA's, in ``edgetl.backends.cuda``).

What that driver has no call for is asked of ``libcuda`` by ctypes, in the context that it made current.
"""

from __future__ import annotations

import ctypes
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy.typing as npt

from edgetl.errors import BackendError, EnvironmentLacks
from edgetl.ops.device import Memory

__all__ = ["CudaDevice", "Driver", "libcuda"]

Array = npt.NDArray[Any]

LIBRARY = "libcuda.so.1"
MULTIPROCESSORS, MAJOR, MINOR = 16, 75, 76
"""Of ``CUdevice_attribute``."""
ORDINAL = 9
"""Of ``CUpointer_attribute``."""


class Driver(Protocol):
    """What is needed of ``edgetl.backends.cuda.driver.CudaDriver``."""

    def current(self) -> AbstractContextManager[None]:
        """The GPU's primary context, for a block."""

    def allocate(self, size: int) -> Memory:
        """So many bytes on the device."""


class CudaDevice:
    """See ``edgetl.ops.device.Device``.

    Parameters
    ----------
    driver : ``edgetl.backends.cuda.on_pycuda.find()``. cuda : ``libcuda``; the system's where it is ``None``.

    Raises
    ------
    EnvironmentLacks : there is no driver library. BackendError : it refused to tell what the GPU is.
    """

    def __init__(self, driver: Driver, cuda: Any = None) -> None:
        self._driver = driver
        self._cuda = libcuda() if cuda is None else cuda
        ordinal = ctypes.c_int()
        with driver.current():
            self._checked("cuCtxGetDevice", ctypes.byref(ordinal))
            self._ordinal = ordinal.value
            self.multiprocessors = self._attribute(MULTIPROCESSORS)
            self.capability = f"{self._attribute(MAJOR)}.{self._attribute(MINOR)}"

    def current(self) -> AbstractContextManager[None]:
        """The primary context, for a block."""
        return self._driver.current()

    def zeros(self, size: int) -> Memory:
        """So many bytes, zero for every stream."""
        memory = self._driver.allocate(size)
        self._checked("cuMemsetD8_v2", _pointer(memory.pointer), ctypes.c_ubyte(0), ctypes.c_size_t(size))
        # It is put on the default stream, which one that does not block does not wait for.
        self._checked("cuStreamSynchronize", None)
        return memory

    def copy_in(self, memory: Memory, array: Array) -> None:
        """From the host, before this returns."""
        size = ctypes.c_size_t(array.nbytes)
        self._checked("cuMemcpyHtoD_v2", _pointer(memory.pointer), ctypes.c_void_p(array.ctypes.data), size)
        self._checked(
            "cuStreamSynchronize", None
        )  # from pageable memory it may return before the last bytes are there

    def copy_out(self, array: Array, memory: Memory, stream: int) -> None:
        """To the host, after the stream's work."""
        self._checked("cuStreamSynchronize", ctypes.c_void_p(stream))
        size = ctypes.c_size_t(array.nbytes)
        self._checked("cuMemcpyDtoH_v2", ctypes.c_void_p(array.ctypes.data), _pointer(memory.pointer), size)

    def lacks(self, address: int) -> str:
        """Why its kernels cannot use an address; empty where they can."""
        ordinal = ctypes.c_int()
        if self._cuda.cuPointerGetAttribute(ctypes.byref(ordinal), ORDINAL, _pointer(address)):
            return f"is at {address:#x}, which is no memory of CUDA's"
        if ordinal.value != self._ordinal:
            return f"is on GPU {ordinal.value}, and the kernel runs on GPU {self._ordinal}"
        return ""

    def _attribute(self, number: int) -> int:
        found = ctypes.c_int()
        self._checked("cuDeviceGetAttribute", ctypes.byref(found), number, self._ordinal)
        return found.value

    def _checked(self, call: str, *arguments: Any) -> None:
        code = getattr(self._cuda, call)(*arguments)
        if code:
            raise BackendError(
                f"{call} failed with code {code}", hint="--debug shows where", vendor=f"{call}: {code}"
            )


def _pointer(address: int) -> ctypes.c_uint64:
    """A ``CUdeviceptr``: ctypes would cut a plain int to 32 bits."""
    return ctypes.c_uint64(address)


def libcuda() -> Any:
    """The driver's own library.

    Raises
    ------
    EnvironmentLacks : it is not there.
    """
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise EnvironmentLacks(
            f"no NVIDIA driver: {LIBRARY} is not there", hint="install NVIDIA's driver"
        ) from error
