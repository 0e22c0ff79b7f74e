"""What a launcher asks of a GPU, and arrays that lie on one."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgetl.errors import InputError

__all__ = ["Device", "DeviceArray", "Memory", "OnDevice", "check_array", "check_end", "read"]

Array = npt.NDArray[Any]

MAX_INT64 = (1 << 63) - 1
INTERFACE = "pass a plain, dense GPU array: __cuda_array_interface__ has data, typestr and shape"


class Memory(Protocol):
    """Bytes that the device reads and writes."""

    @property
    def pointer(self) -> int:
        """The device's address."""

    def close(self) -> None:
        """Give it back, inside ``Device.current()``; a second call does nothing."""


class Device(Protocol):
    """One GPU; ``edgetl.ops.on_cuda`` has the one that is there.

    Attributes
    ----------
    capability : compute capability, ``8.7``. multiprocessors : how many of them work at once.
    """

    capability: str
    multiprocessors: int

    def current(self) -> AbstractContextManager[None]:
        """Make its context this thread's while the block lasts; every other call is made inside."""

    def zeros(self, size: int) -> Memory:
        """So many bytes, zero for every stream."""

    def copy_in(self, memory: Memory, array: Array) -> None:
        """From the host, before this returns."""

    def copy_out(self, array: Array, memory: Memory, stream: int) -> None:
        """To the host, after all work on the stream and before this returns."""

    def lacks(self, address: int) -> str:
        """Why its kernels cannot use an address; empty where they can."""


class OnDevice:
    """An array of its own memory on a device, for whoever has no library of GPU arrays at hand.

    Parameters
    ----------
    values : copied there, in C order.

    Raises
    ------
    InputError : it holds nothing. EnvironmentLacks : the device has no memory left.
    """

    def __init__(self, device: Device, values: Array) -> None:
        if not values.size:
            raise InputError(f"an array of shape {values.shape} is empty", hint="every size is from 1 on")
        self._device = device
        self._values = np.array(values, order="C")
        self._is_open = True
        with device.current():
            self._memory = device.zeros(self._values.nbytes)
        self.fill(values)

    @property
    def __cuda_array_interface__(self) -> Mapping[str, Any]:
        """Where it is and what it holds, as GPU libraries tell one another."""
        self._check_open()
        return {
            "version": 3,
            "shape": self._values.shape,
            "typestr": self._values.dtype.str,
            "data": (self._memory.pointer, False),
        }

    def fill(self, values: Array) -> None:
        """Other values, of the same shape."""
        self._check_open()
        self._values[...] = values
        with self._device.current():
            self._device.copy_in(self._memory, self._values)

    def numpy(self, stream: int = 0) -> Array:
        """What is there when the stream's work is done, as an array of its own."""
        self._check_open()
        found = np.empty_like(self._values)
        with self._device.current():
            self._device.copy_out(found, self._memory, stream)
        return found

    def close(self) -> None:
        """Give the memory back; a second call does nothing, any other is an ``InputError`` from then on."""
        self._is_open = False
        with self._device.current():
            self._memory.close()

    def _check_open(self) -> None:
        if not self._is_open:
            raise InputError(
                "the array is closed: its memory may be another's now", hint="put it there again"
            )


@dataclass(frozen=True)
class DeviceArray:
    """Where an array is on a device; strides are in elements."""

    address: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def end(self) -> int:
        """The address of its last byte."""
        steps = sum((size - 1) * step for size, step in zip(self.shape, self.strides))
        return self.address + (steps + 1) * self.dtype.itemsize - 1


def read(
    device: Device, name: str, array: object, *, dense: bool = False, writes: bool = False
) -> DeviceArray:
    """Where an array is, if kernels on this device can use it.

    Parameters
    ----------
    name : what errors call it.
    array : anything with ``__cuda_array_interface__``: of PyCUDA, CuPy, torch, or ``OnDevice``.
    dense : it must be C-contiguous. writes : it is written to.

    Raises
    ------
    InputError : it is on the host or on another GPU, null, misaligned, strided backwards, or not as asked for.
    """
    interface = _interface(name, array)
    try:
        address, is_read_only = interface["data"]
        dtype = np.dtype(interface["typestr"])
        shape = tuple(map(operator.index, interface["shape"]))
        steps = tuple(map(operator.index, interface.get("strides") or _dense(shape, dtype.itemsize)))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{name} does not tell where it is: {type(error).__name__}, {error}", hint=INTERFACE
        ) from error
    if len(steps) != len(shape) or not dtype.itemsize:
        raise InputError(
            f"{name} has strides of {steps} bytes for shape {shape}, and elements of {dtype.itemsize}",
            hint=INTERFACE,
        )
    if interface.get("mask") is not None:
        raise InputError(f"{name} is a masked array", hint="kernels read plain ones")
    if not address or 0 in shape:
        raise InputError(
            f"{name} is empty: shape {shape}, address {address or 0:#x}", hint="every size is from 1 on"
        )
    if any(step < 0 or step % dtype.itemsize for step in steps):
        raise InputError(
            f"{name} has strides of {steps} bytes for elements of {dtype.itemsize}: a kernel walks "
            "forward, in whole elements",
            hint="pass a contiguous copy",
        )
    if address % dtype.itemsize:
        raise InputError(
            f"{name} is at {address:#x}, between two elements of {dtype.itemsize} bytes",
            hint="pass an aligned copy",
        )
    if dense and any(a != b for a, b, n in zip(steps, _dense(shape, dtype.itemsize), shape) if n > 1):
        raise InputError(
            f"{name} is not contiguous: strides of {steps} bytes for {shape}", hint="pass a copy"
        )
    if writes and is_read_only:
        raise InputError(f"{name} is read-only, and is written to", hint="pass an array of your own")
    with device.current():
        lacks = device.lacks(address)
    if lacks:
        raise InputError(f"{name} {lacks}", hint="copy it to the GPU that runs the kernel")
    return DeviceArray(address, dtype, shape, tuple(step // dtype.itemsize for step in steps))


def check_array(name: str, array: object) -> None:
    """Refuse what is no array, of a host or of a GPU.

    Raises
    ------
    InputError : it has no dtype or no shape.
    """
    if not (hasattr(array, "dtype") and hasattr(array, "shape")):
        raise InputError(
            f"{name} is a {type(array).__name__}, not an array", hint="numpy.asarray makes one of numbers"
        )


def check_end(device: Device, name: str, array: DeviceArray) -> None:
    """Refuse an array that ends where the device has no memory: a size or stride that is not its memory's.

    Raises
    ------
    InputError : its last byte is on the host, on another GPU, nowhere, or beyond 64 bits.
    """
    lacks = f"is at {array.end:#x}, beyond 64 bits" if array.end - array.address > MAX_INT64 else ""
    if not lacks:
        with device.current():
            lacks = device.lacks(array.end)
    if lacks:
        raise InputError(
            f"the last byte of {name} {lacks}: shape {array.shape}, strides {array.strides} in elements",
            hint="shape, strides and pitch have to be those of the memory",
        )


def _interface(name: str, array: object) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = array.__cuda_array_interface__  # type: ignore[attr-defined]
    except AttributeError as error:
        raise InputError(
            f"{name} is a {type(array).__module__}.{type(array).__name__} on the host; a kernel reads GPU arrays",
            hint="edgetl.ops.device.OnDevice copies one there; arrays of PyCUDA, CuPy, torch are taken as they are",
        ) from error
    except RuntimeError as error:  # torch's, of a tensor that records gradients
        raise InputError(f"{name} does not tell where it is: {error}", hint="detach() it") from error
    except (KeyError, TypeError, ValueError) as error:  # of a kind that the interface has no word for
        raise InputError(
            f"{name} does not tell where it is: {type(error).__name__}, {error}", hint=INTERFACE
        ) from error
    return found


def _dense(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """C order, in bytes."""
    steps = [itemsize]
    for size in shape[:0:-1]:
        steps.append(steps[-1] * size)
    return tuple(reversed(steps[: len(shape)]))
