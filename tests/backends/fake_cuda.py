"""CUDA without a GPU: work waits on its stream until it is waited for, everything is counted, every fault is kept.

A host that reads an output before its stream is done reads old bytes, as on a device. Calls without a current
context, copies to memory that was given back and the like land in ``faults``.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl.backends.cuda.driver import DeviceMemory, Event, PinnedArray, Stream
from edgetl.backends.execution import IOTensor
from edgetl.errors import BackendError, EnvironmentLacks, InputError
from edgetl.types import Engine, TensorSpec

__all__ = ["FakeCuda", "FakeExecution", "engine_of"]

Array = npt.NDArray[Any]
Work = Callable[[], None]


class Counted:
    """Something of the driver's: made and closed in a context, and closed by whoever made it."""

    kind = ""

    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda
        cuda.check(f"make a {self.kind}")
        self.address = cuda.note(self.kind)
        self._open = True
        self._forgotten = weakref.finalize(self, cuda.faults.append, f"{self.kind} was forgotten")
        self._forgotten.atexit = False

    def close(self) -> None:
        """Once counts."""
        self._cuda.check(f"close a {self.kind}")
        if self._open:
            self._cuda.live[self.kind] -= 1
        self._open = False
        self._forgotten.detach()


class FakeStream(Counted):
    """Work that is done when it is waited for."""

    kind = "stream"

    def __init__(self, cuda: FakeCuda) -> None:
        super().__init__(cuda)
        self.handle = self.address
        self.pending: list[Work] = []
        cuda.streams[self.handle] = self

    def submit(self, work: Work) -> None:
        """Behind all that is there."""
        self._cuda.check("work on a stream")
        self.pending.append(work)

    def synchronize(self) -> None:
        """Do it all."""
        self._cuda.check("synchronize")
        if self._cuda.sticky:
            raise BackendError("CUDA failed: cuStreamSynchronize failed: unspecified launch failure")
        pending, self.pending = self.pending, []
        for work in pending:
            work()


class FakeEvent(Counted):
    """Takes the time of the work before it: one millisecond a piece."""

    kind = "event"
    at = 0.0

    def record(self, stream: Stream) -> None:
        """When it is its turn."""

        def now() -> None:
            self.at = self._cuda.device_ms

        assert isinstance(stream, FakeStream)
        stream.submit(now)

    def milliseconds_since(self, start: Event) -> float:
        """As far as both have passed."""
        assert isinstance(start, FakeEvent)
        return self.at - start.at


class FakeMemory(Counted):
    """Bytes at an address."""

    kind = "device"

    def __init__(self, cuda: FakeCuda, size: int) -> None:
        super().__init__(cuda)
        self.pointer = self.address
        cuda.memory[self.pointer] = np.full(size, 0xCD, np.uint8)

    def close(self) -> None:
        """What is bound to it meets nothing from now on."""
        super().close()
        self._cuda.memory.pop(self.pointer, None)


class FakeGraph(Counted):
    """Captured work."""

    kind = "graph"

    def __init__(self, cuda: FakeCuda, work: Sequence[Work]) -> None:
        super().__init__(cuda)
        self._work = list(work)

    def launch(self, stream: Stream) -> None:
        """All of it again."""
        assert isinstance(stream, FakeStream)
        self._cuda.launches += 1
        if not self._open:
            self._cuda.faults.append("a closed graph was launched")
        for work in self._work:
            stream.submit(work)


@dataclass
class FakeCuda:
    """See ``edgetl.backends.cuda.driver.CudaDriver``.

    Attributes
    ----------
    room : bytes of the device's memory. live, made : objects by kind, now and ever. faults : what no driver forgives.
    sticky : an inference failed, and from then on every wait fails.
    """

    integrated: bool = False
    no_graphs: str = ""
    room: int = 1 << 40
    sticky: bool = False
    device_ms: float = 0.0
    launches: int = 0
    facts: Mapping[str, str] = field(
        default_factory=lambda: {"gpu": "a fake", "binding": "none", "wait": "spin"}
    )
    live: dict[str, int] = field(default_factory=dict)
    made: dict[str, int] = field(default_factory=dict)
    memory: dict[int, Array] = field(default_factory=dict)
    streams: weakref.WeakValueDictionary[int, FakeStream] = field(default_factory=weakref.WeakValueDictionary)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._thread = threading.local()
        self._addresses = itertools.count(0x7000_0000, 0x1000)

    def note(self, kind: str) -> int:
        """Another one of this kind; its address."""
        self.live[kind] = self.live.get(kind, 0) + 1
        self.made[kind] = self.made.get(kind, 0) + 1
        return next(self._addresses)

    def check(self, what: str) -> None:
        """A context is current on this thread."""
        if not self._depth():
            self.faults.append(f"{what} without a context")

    def leaks(self) -> dict[str, int]:
        """What is still there."""
        return {kind: count for kind, count in self.live.items() if count}

    @contextmanager
    def current(self) -> Iterator[None]:
        """Counted by thread."""
        self._thread.depth = self._depth() + 1
        try:
            yield
        finally:
            self._thread.depth -= 1

    def stream(self) -> FakeStream:
        """A new one."""
        return FakeStream(self)

    def event(self) -> FakeEvent:
        """A new one."""
        return FakeEvent(self)

    def allocate(self, size: int) -> FakeMemory:
        """As long as there is room."""
        if sum(block.size for block in self.memory.values()) + size > self.room:
            raise EnvironmentLacks("the GPU has no memory left")
        return FakeMemory(self, size)

    def pinned(self, size: int, *, mapped: bool) -> PinnedArray:
        """Lives as long as what looks into it."""
        lent = _Lent(np.full(size, 0xCD, np.uint8))
        pointer = self.note("pinned")

        def gone() -> None:
            self.live["pinned"] -= 1
            self.memory.pop(pointer, None)

        weakref.finalize(lent, gone)
        array = np.asarray(lent)
        if mapped:
            self.memory[pointer] = lent.bytes  # without the wrapper, whose end is what is counted
        return PinnedArray(array, pointer if mapped else None)

    def copy_in(self, memory: DeviceMemory, array: Array, stream: Stream) -> None:
        """When it is its turn, from the bytes as they are then."""
        assert isinstance(stream, FakeStream) and isinstance(memory, FakeMemory)
        target = self.memory[memory.pointer]
        stream.submit(lambda: np.copyto(target[: array.nbytes], array.reshape(-1).view(np.uint8)))

    def copy_out(self, array: Array, memory: DeviceMemory, stream: Stream) -> None:
        """When it is its turn."""
        assert isinstance(stream, FakeStream) and isinstance(memory, FakeMemory)
        source = self.memory[memory.pointer]
        stream.submit(lambda: np.copyto(array.reshape(-1).view(np.uint8), source[: array.nbytes]))

    def capture(self, stream: Stream, work: Work) -> FakeGraph:
        """What was put on the stream, which does not run."""
        assert isinstance(stream, FakeStream)
        before, stream.pending = stream.pending, []
        if before:
            self.faults.append("captured a stream that was not done")
        try:
            work()
            return FakeGraph(self, stream.pending)
        finally:
            stream.pending = before

    def _depth(self) -> int:
        return int(getattr(self._thread, "depth", 0))


class _Lent:
    def __init__(self, held: Array) -> None:
        self.bytes = held
        self.__array_interface__ = held.__array_interface__


class FakeExecution(Counted):
    """A vendor's context: of every input ``x`` the output ``y`` of the same place is ``2 * x + 1``.

    Parameters
    ----------
    tensors : inputs, then as many outputs. most : the largest first axis that a free one takes.
    fails : nothing is run. captures : a second inference in a row is refused, as a vendor refuses a capture.
    """

    kind = "execution"

    def __init__(
        self,
        cuda: FakeCuda,
        tensors: Sequence[IOTensor],
        *,
        most: int = 8,
        fails: bool = False,
        captures: bool = True,
    ) -> None:
        super().__init__(cuda)
        self._tensors = list(tensors)
        self._most = most
        self._fails = fails
        self._captures = captures
        self._shapes = {tensor.name: tensor.shape for tensor in tensors}
        self._bound: dict[str, int] = {}
        self._enqueued = 0

    def tensors(self) -> list[IOTensor]:
        """All of them."""
        return self._tensors

    def set_shape(self, name: str, dims: tuple[int, ...]) -> None:
        """Within bounds; the output of the same place follows."""
        self._cuda.check("set_shape")
        if dims[0] > self._most:
            raise InputError(f"input {name!r} is {dims}, the engine takes up to {self._most}")
        self._shapes[name] = self._shapes[self._partner(name)] = dims

    def shape(self, name: str) -> tuple[int, ...]:
        """Whole, once inputs have theirs."""
        dims = self._shapes[name]
        if None in dims:
            raise InputError(f"the shape of {name!r} is still free")
        return tuple(dim or 0 for dim in dims)

    def bind(self, name: str, device_pointer: int) -> None:
        """An address that the device has."""
        if device_pointer not in self._cuda.memory:
            self._cuda.faults.append(f"{name} was bound to no memory of the device")
        self._bound[name] = device_pointer

    def enqueue(self, stream_handle: int) -> None:
        """On the stream."""
        self._cuda.check("enqueue")
        if self._fails:
            raise BackendError("the vendor could not run the engine")
        self._enqueued += 1
        if not self._captures and self._enqueued == 2:
            raise BackendError("the vendor cannot be captured")
        bound = dict(self._bound)
        shapes = {name: self.shape(name) for name in self._shapes}
        self._cuda.streams[stream_handle].submit(lambda: self._compute(bound, shapes))

    def _partner(self, name: str) -> str:
        ins = [tensor.name for tensor in self._tensors if tensor.mode == "input"]
        outs = [tensor.name for tensor in self._tensors if tensor.mode == "output"]
        return outs[ins.index(name)]

    def _compute(self, bound: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._cuda.device_ms += 1
        dtypes = {tensor.name: np.dtype(tensor.dtype) for tensor in self._tensors}
        for name in (tensor.name for tensor in self._tensors if tensor.mode == "input"):
            partner = self._partner(name)
            count = int(np.prod(shapes[name]))
            source = self._cuda.memory[bound[name]][: count * dtypes[name].itemsize].view(dtypes[name])
            target = self._cuda.memory[bound[partner]][: count * dtypes[partner].itemsize]
            target.view(dtypes[partner])[:] = 2 * source.astype(dtypes[partner]) + 1


def engine_of(tensors: Sequence[IOTensor]) -> Engine:
    """The record of an engine with these tensors."""

    def specs(mode: str) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(name=one.name, dtype=one.dtype, shape=one.shape) for one in tensors if one.mode == mode
        )

    return Engine(
        backend="fake",
        device="GPU",
        precision="f32",
        files=(),
        source="",
        inputs=specs("input"),
        outputs=specs("output"),
    )
