"""An opened plan and its execution contexts, behind the seam that the CUDA session drives."""

from __future__ import annotations

import tensorrt as trt

from edgetl.backends.execution import IOTensor
from edgetl.backends.tensorrt import plugin as plugins
from edgetl.backends.tensorrt import releases
from edgetl.backends.tensorrt.log import Log, mapped
from edgetl.errors import InputError

__all__ = ["OpenedPlan", "TensorRTExecution", "Times"]


class Times(trt.IProfiler):  # type: ignore[misc] # the vendor has no stubs
    """A profiler that adds up each layer's time.

    Attributes
    ----------
    milliseconds : by layer name, in the order they first ran.
    """

    def __init__(self) -> None:
        trt.IProfiler.__init__(self)  # pybind11 takes no super()
        self.milliseconds: dict[str, float] = {}

    def report_layer_time(self, layer_name: str, ms: float) -> None:
        """Called by the library, once a layer and inference."""
        self.milliseconds[layer_name] = self.milliseconds.get(layer_name, 0.0) + ms


class OpenedPlan:
    """An engine on the device; contexts of several threads share its weights.

    Parameters
    ----------
    plan : its bytes, whose digest was checked. dla : the core it is for; the GPU where it is ``None``.
    any_release : it was built to be opened by later releases, for which it brings code of its own.
    plugin : the library of the fused head, where it has one.
    """

    def __init__(
        self, plan: bytes, *, dla: int | None = None, any_release: bool = False, plugin: str | None = None
    ) -> None:
        self.log = Log()
        with mapped(self.log, f"TensorRT {trt.__version__} cannot open the engine"):
            trt.init_libnvinfer_plugins(self.log, "")
            if plugin is not None:
                releases.load_plugin(plugin, plugins.OPERATOR, plugins.VERSION)
            self._runtime: trt.Runtime | None = trt.Runtime(self.log)
            if any_release:
                self._runtime.engine_host_code_allowed = True
            if dla is not None:
                self._runtime.DLA_core = dla
            self._engine: trt.ICudaEngine | None = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise self.log.failure(f"TensorRT {trt.__version__} cannot open the engine")

    def __del__(self) -> None:  # once no context is left; the engine goes before the runtime that made it
        self._engine = None
        self._runtime = None

    def tensors(self) -> list[IOTensor]:
        """All inputs and outputs, in the engine's order."""
        engine = self._opened()
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        return [
            IOTensor(
                name=name,
                dtype=releases.dtype_name(engine.get_tensor_dtype(name)),
                shape=tuple(None if dim < 0 else int(dim) for dim in engine.get_tensor_shape(name)),
                mode="input" if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT else "output",
            )
            for name in names
        ]

    def bounds(self, name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Least and greatest shape of an input."""
        least, _, greatest = self._opened().get_tensor_profile_shape(name, 0)
        return tuple(least), tuple(greatest)

    def information(self) -> str:
        """The inspector's account of all layers, JSON."""
        inspector = self._opened().create_engine_inspector()
        return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))

    def execution(self, times: Times | None = None) -> TensorRTExecution:
        """A context of one's own; ``times`` profiles each of its inferences.

        Raises
        ------
        BackendError : the device has no memory for another one.
        """
        with mapped(self.log, "TensorRT makes no execution context"):
            context = self._opened().create_execution_context()
        if context is None:
            raise self.log.failure("TensorRT makes no execution context")
        if times is not None:
            context.profiler = times
        return TensorRTExecution(self, context)

    def _opened(self) -> trt.ICudaEngine:
        assert self._engine is not None
        return self._engine


class TensorRTExecution:
    """One execution context; see ``edgetl.backends.execution.Execution``."""

    def __init__(self, plan: OpenedPlan, context: trt.IExecutionContext) -> None:
        self._plan = plan
        self._context: trt.IExecutionContext | None = context

    def tensors(self) -> list[IOTensor]:
        """All inputs and outputs, in the engine's order."""
        return self._plan.tensors()

    def set_shape(self, name: str, dims: tuple[int, ...]) -> None:
        """Fix the shape of an input, within the bounds that the engine was built for."""
        if not self._open().set_input_shape(name, dims):
            least, greatest = self._plan.bounds(name)
            raise InputError(
                f"input {name!r} is {dims}, the engine takes from {least} to {greatest}",
                hint="minShapes and maxShapes of the build say so",
            )

    def shape(self, name: str) -> tuple[int, ...]:
        """The whole shape of a tensor, once the shapes of all inputs are set."""
        dims = tuple(int(dim) for dim in self._open().get_tensor_shape(name))
        if any(dim < 0 for dim in dims):
            raise InputError(f"the shape of {name!r} is {dims}: an input's shape is still to be set")
        return dims

    def bind(self, name: str, device_pointer: int) -> None:
        """Where a tensor lies."""
        if not self._open().set_tensor_address(name, device_pointer):
            raise self._plan.log.failure(f"TensorRT takes no address for {name!r}")

    def enqueue(self, stream_handle: int) -> None:
        """Put one inference on a stream."""
        if not self._open().execute_async_v3(stream_handle):
            raise self._plan.log.failure("TensorRT could not run the engine")

    def close(self) -> None:
        """Give the context back."""
        self._context = None

    def _open(self) -> trt.IExecutionContext:
        if self._context is None:
            raise InputError("the session is closed", hint="open the engine again")
        return self._context
