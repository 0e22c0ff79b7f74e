"""Where a tensor lies: on the host, on the device, or once for both."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl.backends.cuda.driver import CudaDriver, DeviceMemory, Stream
from edgetl.types import TensorSpec

__all__ = ["TensorMemory"]

Array = npt.NDArray[Any]


class TensorMemory:
    """Memory of one input or output; it grows with the largest shape seen and never shrinks.

    Parameters
    ----------
    mapped : the device reads and writes the host's bytes themselves, so that nothing is copied.

    Attributes
    ----------
    array : pinned, of the shape that was last set; empty before.
    """

    def __init__(self, driver: CudaDriver, spec: TensorSpec, *, mapped: bool) -> None:
        self.name = spec.name
        self._driver = driver
        self._dtype = np.dtype(spec.dtype)
        self._mapped = mapped
        self._bytes: Array = np.empty(0, np.uint8)
        self._pointer: int | None = None
        self._device: DeviceMemory | None = None
        self.array: Array = np.empty(0, self._dtype)

    def fit(self, shape: tuple[int, ...]) -> int:
        """Make ``array`` of this shape, and say where the device finds it."""
        size = int(np.prod(shape, dtype=np.int64)) * self._dtype.itemsize
        if self._pointer is None or size > self._bytes.size:
            self._grow(max(size, 1))  # an address is needed even for nothing
        self.array = self._bytes[:size].view(self._dtype).reshape(shape)
        assert self._pointer is not None
        return self._pointer

    def send(self, stream: Stream) -> None:
        """Copy to the device, unless both have the same bytes."""
        if self._device is not None:
            self._driver.copy_in(self._device, self.array, stream)

    def fetch(self, stream: Stream) -> None:
        """Copy from the device, unless both have the same bytes."""
        if self._device is not None:
            self._driver.copy_out(self.array, self._device, stream)

    def close(self) -> None:
        """Give the device's memory back; the host's lasts as long as an array that looks into it."""
        if self._device is not None:
            self._device.close()
        self._device = self._pointer = None
        self._bytes = np.empty(0, np.uint8)
        self.array = np.empty(0, self._dtype)

    def _grow(self, size: int) -> None:
        self.close()  # before the larger one is asked for: there may not be room for both
        self._bytes, pointer = self._driver.pinned(size, mapped=self._mapped)
        self._bytes[:] = 0
        if pointer is None:
            self._device = self._driver.allocate(size)
            pointer = self._device.pointer
        self._pointer = pointer
