"""What is called of CUDA, and no more: one implementation stands on PyCUDA, the one of the tests counts.

What a driver hands out is closed by its owner, inside ``with current()``: a reference may be kept by the traceback of
an error. Pinned arrays are the exception: a caller may keep one, so their memory lasts as long as any array of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

import numpy.typing as npt

__all__ = ["CudaDriver", "DeviceMemory", "Event", "Graph", "PinnedArray", "Stream"]

Array = npt.NDArray[Any]


class Stream(Protocol):
    """Work in order, beside that of other streams."""

    @property
    def handle(self) -> int:
        """The address that vendors take a stream by."""

    def synchronize(self) -> None:
        """Return when all work on it is done; other threads of Python run meanwhile."""

    def close(self) -> None:
        """Give it back; a second call does nothing."""


class Event(Protocol):
    """A moment on a stream, by the device's clock."""

    def record(self, stream: Stream) -> None:
        """Mark the moment when the work before it is done."""

    def milliseconds_since(self, start: Event) -> float:
        """Between two moments that have passed."""

    def close(self) -> None:
        """Give it back; a second call does nothing."""


class DeviceMemory(Protocol):
    """Bytes that only the device reads and writes."""

    @property
    def pointer(self) -> int:
        """The device's address."""

    def close(self) -> None:
        """Give it back; a second call does nothing."""


class PinnedArray(NamedTuple):
    """Host memory that the device reaches without the operating system.

    Attributes
    ----------
    pointer : the device's address of the same bytes, where they are mapped; else ``None``.
    """

    array: Array
    pointer: int | None


class Graph(Protocol):
    """Work that was captured once, launched by one call."""

    def launch(self, stream: Stream) -> None:
        """Put all of it on a stream."""

    def close(self) -> None:
        """Give it back; a second call does nothing."""


class CudaDriver(Protocol):
    """One GPU and its primary context, which TensorRT, torch and others in this process use too.

    Attributes
    ----------
    facts : for whoever reports a measurement: ``gpu``, ``binding``, and how threads ``wait`` for the GPU.
    integrated : the GPU shares its memory with the CPU, as on a Jetson.
    no_graphs : why nothing can be captured; empty where it can.
    """

    facts: Mapping[str, str]
    integrated: bool
    no_graphs: str

    def current(self) -> AbstractContextManager[None]:
        """Make the context this thread's while the block lasts; every other call is made inside.

        Raises
        ------
        EnvironmentLacks : the device has no memory left. BackendError : CUDA refused anything else in the block.
        """

    def stream(self) -> Stream:
        """A stream that does not wait for the default one."""

    def event(self) -> Event:
        """An event that takes the time."""

    def allocate(self, size: int) -> DeviceMemory:
        """So many bytes on the device."""

    def pinned(self, size: int, *, mapped: bool) -> PinnedArray:
        """So many bytes on the host, uint8."""

    def copy_in(self, memory: DeviceMemory, array: Array, stream: Stream) -> None:
        """From a pinned array to the device, on a stream."""

    def copy_out(self, array: Array, memory: DeviceMemory, stream: Stream) -> None:
        """From the device to a pinned array, on a stream."""

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """A graph of what ``work`` puts on the stream, which does not run meanwhile.

        Raises
        ------
        BackendError : something in it cannot be captured; the stream is as before.
        """
