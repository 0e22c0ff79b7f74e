"""What a CUDA session needs of the vendor's engine: names, shapes, addresses and a launch on a stream.

The session owns memory, streams and events and knows no vendor; the vendor's side owns its engine and context
and knows no memory. Pointers and streams are plain integers, so that either side is tested without the other.
"""

from __future__ import annotations

from typing import Literal, Protocol

from edgetl.types import TensorSpec

__all__ = ["Execution", "IOTensor"]


class IOTensor(TensorSpec, frozen=True, kw_only=True):
    """A tensor that goes in or comes out; ``None`` in ``shape`` is an axis that ``set_shape`` fixes."""

    mode: Literal["input", "output"]


class Execution(Protocol):
    """One execution context of an opened engine; used by one thread at a time, on the CUDA context it was made in.

    The order is: ``set_shape`` of every input with a free axis, ``shape`` of what has to be allocated, ``bind``
    of every tensor, then ``enqueue`` as often as wanted. Shapes and addresses last until they are set again.
    """

    def tensors(self) -> list[IOTensor]:
        """All inputs and outputs, in the engine's order."""

    def set_shape(self, name: str, dims: tuple[int, ...]) -> None:
        """Fix the shape of an input.

        Raises
        ------
        InputError : the shape is outside what the engine was built for.
        """

    def shape(self, name: str) -> tuple[int, ...]:
        """The whole shape of a tensor, once the shapes of all inputs are set.

        Raises
        ------
        InputError : an input's shape is still free, so this one's is too.
        """

    def bind(self, name: str, device_pointer: int) -> None:
        """Where a tensor lies: an address that the device can read and write."""

    def enqueue(self, stream_handle: int) -> None:
        """Put one inference on a stream, and return without waiting for it.

        Raises
        ------
        BackendError : the vendor refused: a tensor without an address, or no memory.
        """

    def close(self) -> None:
        """Give the context back; a second call does nothing. The engine goes with the last reference to any."""
