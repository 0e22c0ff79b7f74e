"""The seam's session over CUDA: a request is a lane of its own, and threads share a pool of them."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy.typing as npt

from edgetl.backends.checks import noise
from edgetl.backends.cuda import on_pycuda, zerocopy
from edgetl.backends.cuda.driver import CudaDriver
from edgetl.backends.cuda.lane import Lane, is_static
from edgetl.backends.execution import Execution
from edgetl.backends.pool import PooledSession
from edgetl.backends.seam import Request
from edgetl.errors import BackendError
from edgetl.types import Engine, TensorSpec

__all__ = ["CudaRequest", "CudaSession"]

Array = npt.NDArray[Any]


class CudaRequest(Request):
    """One inference in flight, with a lane of its own; what it owns goes back with it, on whichever thread.

    A request that outlives its session goes on working: nothing is taken from under an inference.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.inputs: Mapping[str, Array] = lane.inputs
        weakref.finalize(self, lane.close)

    @property
    def launch(self) -> str:
        """``graph``, or ``plain: `` and the reason."""
        return self._lane.launch

    @property
    def device_ms(self) -> float:
        """Milliseconds of the last inference by the device's clock, copies included; of a session that is timed."""
        return self._lane.device_ms()

    def fill(self, inputs: Mapping[str, Array]) -> None:
        """Copy arrays in."""
        self._lane.fill(inputs)

    def start(self) -> None:
        """Begin, and return at once."""
        self._lane.start()

    def wait(self) -> dict[str, Array]:
        """The outputs, as views that the next start overwrites."""
        return self._lane.wait()


class CudaSession(PooledSession):
    """An engine on the GPU; each thread that is in it has an execution context, a stream and buffers of its own.

    Parameters
    ----------
    engine : what the vendor opened. execution : makes another context of it, called on the GPU's primary context.
    driver : of CUDA; PyCUDA where it is ``None``. timed : device times are taken (``CudaRequest.device_ms``).
    graphs : inferences of fixed shape are captured; not where a vendor's profiler is to see their layers.
    clock : to choose between copied and shared memory by.

    Attributes
    ----------
    facts : how inferences are run: ``gpu``, ``binding``, ``wait``, ``launch``, ``memory``.

    Raises
    ------
    EnvironmentLacks : PyCUDA or the driver is not here, or the device has no memory left.
    BackendError : the engine takes other tensors than its record says.
    """

    def __init__(
        self,
        engine: Engine,
        execution: Callable[[], Execution],
        *,
        driver: CudaDriver | None = None,
        timed: bool = False,
        graphs: bool = True,
        clock: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        super().__init__(engine.inputs, engine.outputs)
        self._execution: Callable[[], Execution] | None = execution
        self._driver = on_pycuda.find() if driver is None else driver
        self._timed = timed
        self._graphs = graphs
        self._mapped = False
        self.facts.update(self._driver.facts)
        first = self._choose_memory(clock)
        self.facts["launch"] = first.launch
        self._idle.append(first)

    def _make_request(self) -> CudaRequest:
        return self._make(mapped=self._mapped)

    def _make(self, *, mapped: bool) -> CudaRequest:
        assert self._execution is not None
        make = self._execution

        def checked() -> Execution:
            made = make()
            _check_tensors(made, self.inputs, self.outputs)
            return made

        lane = Lane(
            self._driver,
            checked,
            self.inputs,
            self.outputs,
            mapped=mapped,
            timed=self._timed,
            graphs=self._graphs,
        )
        return CudaRequest(lane)

    def _choose_memory(self, clock: Callable[[], int]) -> CudaRequest:
        """The first request, with its memory in the faster place."""
        if not self._driver.integrated:
            self.facts["memory"] = "copied: the GPU has memory of its own"
            return self._make(mapped=False)
        if not is_static([*self.inputs, *self.outputs]):
            self.facts["memory"] = "copied: shapes are free, so nothing was measured"
            return self._make(mapped=False)
        requests = {"copied": self._make(mapped=False), "mapped": self._make(mapped=True)}
        found = zerocopy.medians_us(requests, {spec.name: noise(spec) for spec in self.inputs}, clock)
        chosen = min(found, key=lambda name: found[name])
        self.facts["memory"] = f"{chosen}: {found['copied']:.1f} us copied, {found['mapped']:.1f} us mapped"
        self._mapped = chosen == "mapped"
        return requests[chosen]

    def _release(self) -> None:
        with self._driver.current():  # the engine goes here, or with the last request that is still held
            self._execution = None


def _check_tensors(
    execution: Execution, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
) -> None:
    """Refuse an engine whose tensors are not those of its record: buffers are made by the record."""

    def told(name: str, dtype: str, shape: tuple[int | None, ...]) -> str:
        return f"{name} {dtype} ({', '.join('any' if dim is None else str(dim) for dim in shape)})"

    recorded = {told(spec.name, spec.dtype, spec.shape) for spec in (*inputs, *outputs)}
    found = {told(tensor.name, tensor.dtype, tensor.shape) for tensor in execution.tensors()}
    if recorded != found:
        execution.close()
        raise BackendError(
            f"the engine takes and gives {', '.join(sorted(found))}; its record says {', '.join(sorted(recorded))}",
            hint="build the engine again",
        )
