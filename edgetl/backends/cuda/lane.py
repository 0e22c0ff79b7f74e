"""What one request owns on the device, from its making to the moment when all of it is given back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import numpy.typing as npt

from edgetl.backends.cuda.driver import CudaDriver, Event, Graph, Stream
from edgetl.backends.cuda.memory import TensorMemory
from edgetl.backends.execution import Execution
from edgetl.errors import BackendError, EdgetlError
from edgetl.types import TensorSpec

__all__ = ["Lane", "Owned", "is_static"]

Array = npt.NDArray[Any]


class Owned(Protocol):
    """Whatever a lane has to give back."""

    def close(self) -> None:
        """Once, in a context."""


def is_static(specs: Sequence[TensorSpec]) -> bool:
    """No axis is free."""
    return not any(None in spec.shape for spec in specs)


class Lane:
    """An execution context, a stream, memory for every tensor and, where shapes are fixed, a graph.

    Parameters
    ----------
    execution : makes the vendor's context; called once.
    mapped : host and device share the bytes. timed : events are recorded around each inference.
    graphs : what can be captured is; a vendor's profiler sees no layers in a graph.

    Attributes
    ----------
    inputs : arrays to write into, one an input whose shape is set.
    launch : ``graph``, or ``plain: `` and the reason.

    Raises
    ------
    EnvironmentLacks : the device has no memory for it; what was taken until then is given back.
    """

    def __init__(
        self,
        driver: CudaDriver,
        execution: Callable[[], Execution],
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        *,
        mapped: bool = False,
        timed: bool = False,
        graphs: bool = True,
    ) -> None:
        self._driver = driver
        self._no_graphs = driver.no_graphs if graphs else "no CUDA graphs were asked for"
        self._execution: Execution | None = None
        self._stream: Stream | None = None
        self._graph: Graph | None = None
        self._events: tuple[Event, Event] | None = None
        self._inputs = {spec.name: TensorMemory(driver, spec, mapped=mapped) for spec in inputs}
        self._outputs = {spec.name: TensorMemory(driver, spec, mapped=mapped) for spec in outputs}
        self._stale = True
        self._answers: dict[str, Array] = {}
        self.inputs: dict[str, Array] = {}
        self.launch = "plain: shapes are free"
        try:
            with driver.current():
                self._execution = execution()
                self._stream = driver.stream()
                if timed:
                    self._events = driver.event(), driver.event()
                for spec in inputs:
                    if None not in spec.shape:
                        self._place_input(spec.name, tuple(dim or 0 for dim in spec.shape))
                if is_static([*inputs, *outputs]):
                    self._prepare()
        except BaseException:
            self.close()
            raise

    def fill(self, inputs: Mapping[str, Array]) -> None:
        """Copy arrays in; an input of another shape than last time is told to the vendor, and may take more memory."""
        for name, array in inputs.items():
            held = self.inputs.get(name)
            if held is None or held.shape != array.shape:
                with self._driver.current():
                    assert self._execution is not None
                    self._execution.set_shape(name, array.shape)  # refused before any memory is taken for it
                    held = self._place_input(name, array.shape)
            held[...] = array

    def start(self) -> None:
        """Put one inference on the stream."""
        with self._driver.current():
            if self._stale:
                self._place_outputs()
            assert self._stream is not None
            if self._events is not None:
                self._events[0].record(self._stream)
            if self._graph is not None:
                self._graph.launch(self._stream)
            else:
                self._enqueue()
            if self._events is not None:
                self._events[1].record(self._stream)

    def wait(self) -> dict[str, Array]:
        """The outputs, when the stream is done."""
        with self._driver.current():
            assert self._stream is not None
            self._stream.synchronize()
        return self._answers

    def device_ms(self) -> float:
        """Time that the device took for the last inference, copies included."""
        assert self._events is not None, "the session was not opened to take times"
        with self._driver.current():
            return self._events[1].milliseconds_since(self._events[0])

    def close(self) -> None:
        """Wait for what is running, and give all back; a second call does nothing."""
        if self._stream is not None:
            with suppress(EdgetlError), self._driver.current():  # an inference that failed fails here again
                self._stream.synchronize()
        memory = (*self._inputs.values(), *self._outputs.values())
        owned: tuple[Owned | None, ...] = (
            self._graph,
            self._execution,
            *(self._events or ()),
            *memory,
            self._stream,
        )
        with self._driver.current():
            for thing in owned:
                if thing is not None:
                    thing.close()
        self._graph = self._execution = self._events = self._stream = None
        self.inputs.clear()
        self._answers = {}

    def _place_input(self, name: str, shape: tuple[int, ...]) -> Array:
        assert self._execution is not None
        memory = self._inputs[name]
        self._execution.bind(name, memory.fit(shape))
        self._stale = True
        self.inputs[name] = memory.array
        return memory.array

    def _place_outputs(self) -> None:
        assert self._execution is not None
        for name, memory in self._outputs.items():
            self._execution.bind(name, memory.fit(self._execution.shape(name)))
        self._answers = {name: memory.array for name, memory in self._outputs.items()}
        self._stale = False

    def _enqueue(self) -> None:
        assert self._execution is not None and self._stream is not None
        for memory in self._inputs.values():
            memory.send(self._stream)
        self._execution.enqueue(self._stream.handle)
        for memory in self._outputs.values():
            memory.fetch(self._stream)

    def _prepare(self) -> None:
        """Run once, for a vendor leaves work to the first inference that cannot be captured; then capture."""
        assert self._stream is not None
        self._place_outputs()
        self._enqueue()
        self._stream.synchronize()
        if self._no_graphs:
            self.launch = f"plain: {self._no_graphs}"
            return
        try:
            with self._driver.current():
                self._graph = self._driver.capture(self._stream, self._enqueue)
            self.launch = "graph"
        except BackendError as error:
            self.launch = f"plain: {error.problem}"
