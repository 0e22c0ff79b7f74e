"""A device that is this host: launchers run on it with the kernels that are compiled for the CPU."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl.ops.device import Memory
from edgetl.ops.head import HeadFunctions
from tests.kernels.head_on_host import Library

__all__ = ["HostDevice", "Lent", "Room", "functions"]

Array = npt.NDArray[Any]


class Room:
    """Memory that the device counts while it is open."""

    def __init__(self, device: HostDevice, size: int) -> None:
        self._device = device
        self.bytes = np.zeros(size, np.uint8)
        self.pointer = self.bytes.ctypes.data
        self.is_open = True
        device.open.append(self)

    def close(self) -> None:
        """Give it back."""
        assert self._device.depth, "closed without a context"
        if self.is_open:
            self._device.open.remove(self)
        self.is_open = False


class HostDevice:
    """See ``edgetl.ops.device.Device``.

    Attributes
    ----------
    open : memory that was not given back. taken : how often memory was asked for.
    """

    capability = "8.7"
    multiprocessors = 8

    def __init__(self) -> None:
        self.open: list[Room] = []
        self.lent: list[Array] = []
        self.taken = 0
        self.depth = 0

    @contextmanager
    def current(self) -> Iterator[None]:
        """Only counted."""
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    def zeros(self, size: int) -> Memory:
        """Zeroed bytes of the host."""
        assert self.depth, "memory was asked for without a context"
        self.taken += 1
        return Room(self, size)

    def copy_in(self, memory: Memory, array: Array) -> None:
        """At once."""
        assert isinstance(memory, Room) and memory.is_open
        memory.bytes[:] = np.frombuffer(array.tobytes(), np.uint8)

    def copy_out(self, array: Array, memory: Memory, stream: int) -> None:
        """At once."""
        assert isinstance(memory, Room) and memory.is_open
        array.view(np.uint8).reshape(-1)[:] = memory.bytes

    def lacks(self, address: int) -> str:
        """Only its own memory is the device's."""
        assert self.depth, "an address was asked about without a context"
        for array in itertools.chain((room.bytes for room in self.open), self.lent):
            low, high = np.lib.array_utils.byte_bounds(array)
            if low <= address < high:
                return ""
        return f"is at {address:#x}, which is not here"


class Lent:
    """An array of the host that passes for one of the device; ``changes`` are lies about it."""

    def __init__(self, device: HostDevice, array: Array, **changes: Any) -> None:
        device.lent.append(array)
        self.array = array
        self._changes = changes

    @property
    def __cuda_array_interface__(self) -> Mapping[str, Any]:
        """The array's own, and the lies."""
        return {**self.array.__array_interface__, "version": 3, **self._changes}


def functions(library: Library, *, order: int = 0) -> HeadFunctions:
    """The kernels for the CPU, in the place of those for a GPU."""
    return HeadFunctions(
        library.edgetl_head_workspace,
        lambda args, stream: int(library.test_head_launch(args, order, -1)),
        library.edgetl_status_text,
    )
