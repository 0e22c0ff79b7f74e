"""A hand-made stand-in for the vendor's module: it fails as told, so that what we do then can be tested.

It knows nothing of graphs. What it does is JSON in ``FAKE_TENSORRT``, which child processes inherit; ``calls`` is
what was asked of it, and goes to the file that ``log_to`` names, where one is given.
"""

from __future__ import annotations

import json
import os
import sys
from enum import Enum
from typing import Any

calls: list[list[Any]] = []


def told(key: str, otherwise: Any = None) -> Any:
    """What the test says of this call."""
    return json.loads(os.environ.get("FAKE_TENSORRT", "{}")).get(key, otherwise)


def note(*call: Any) -> None:
    """Remember a call."""
    calls.append([str(part) for part in call])
    if told("log_to"):
        with open(told("log_to"), "a", encoding="utf-8") as file:
            file.write(json.dumps(calls[-1]) + "\n")


if told("crash") == "import":
    raise ImportError("libnvinfer.so.10: cannot open shared object file: No such file or directory")
__version__ = told("version", "10.3.0")
MAJOR, MINOR = (int(part) for part in __version__.split(".")[:2])


def _enum(name: str, members: str) -> Any:
    make: Any = Enum
    kind = make(name, members)
    kind.__int__ = lambda self: self.value - 1
    return kind


_FLAGS = "TF32 VERSION_COMPATIBLE GPU_FALLBACK"
BuilderFlag = _enum("BuilderFlag", _FLAGS if MAJOR >= 11 else f"FP16 INT8 {_FLAGS}")
_NETWORK = "EXPLICIT_BATCH" if MAJOR == 8 else "EXPLICIT_BATCH STRONGLY_TYPED"
NetworkDefinitionCreationFlag = _enum(
    "NetworkDefinitionCreationFlag", "STRONGLY_TYPED PREFER_JIT_PYTHON_PLUGINS" if MAJOR >= 11 else _NETWORK
)
HardwareCompatibilityLevel = _enum(
    "HardwareCompatibilityLevel",
    "NONE AMPERE_PLUS SAME_COMPUTE_CAPABILITY" if (MAJOR, MINOR) >= (10, 13) else "NONE AMPERE_PLUS",
)
MemoryPoolType = _enum("MemoryPoolType", "WORKSPACE DLA_MANAGED_SRAM DLA_LOCAL_DRAM DLA_GLOBAL_DRAM")
DataType = _enum("DataType", "FLOAT HALF INT8 INT32 BOOL UINT8")
DeviceType = _enum("DeviceType", "GPU DLA")
LayerType = _enum("LayerType", "CONVOLUTION CONSTANT")
ProfilingVerbosity = _enum("ProfilingVerbosity", "LAYER_NAMES_ONLY DETAILED")
LayerInformationFormat = _enum("LayerInformationFormat", "ONELINE JSON")
TensorIOMode = _enum("TensorIOMode", "NONE INPUT OUTPUT")


class ILogger:
    """What a logger derives from."""

    Severity = _enum("Severity", "INTERNAL_ERROR ERROR WARNING INFO VERBOSE")
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = Severity

    def say(self, when: str) -> None:
        """Log what the test has the library say at this point."""
        for severity, words in told("says", {}).get(when, []):
            self.log(self.Severity[severity], words)  # type: ignore[attr-defined]


class IProfiler:
    """What a profiler derives from."""


class _Named:
    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def _tensor(name: str, dtype: str, shape: list[int]) -> _Named:
    return _Named(name=name, dtype=DataType[dtype], shape=tuple(shape))


class _Network:
    def __init__(self, flags: int) -> None:
        note("create_network", flags)
        self.inputs = [_tensor(*row) for row in told("inputs", [["input", "UINT8", [1, 32, 32, 3]]])]
        self.outputs = [_tensor(*row) for row in told("outputs", [["logits", "FLOAT", [1, 5]]])]
        self.layers = [
            _Named(name=name, type=LayerType[kind])
            for name, kind in told("layers", [["conv", "CONVOLUTION"]])
        ]
        self.num_inputs, self.num_outputs, self.num_layers = map(
            len, (self.inputs, self.outputs, self.layers)
        )

    def get_input(self, index: int) -> _Named:
        return self.inputs[index]

    def get_output(self, index: int) -> _Named:
        return self.outputs[index]

    def get_layer(self, index: int) -> _Named:
        return self.layers[index]


class _Config:
    def __init__(self) -> None:
        self.__dict__["cache"] = None

    def __setattr__(self, name: str, value: Any) -> None:
        note("set", name, value)

    def set_flag(self, flag: Any) -> None:
        note("set_flag", flag.name)

    def clear_flag(self, flag: Any) -> None:
        note("clear_flag", flag.name)

    def set_memory_pool_limit(self, pool: Any, size: int) -> None:
        note("pool", pool.name, size)

    def add_optimization_profile(self, profile: Any) -> int:
        return int(told("profile_index", 0))

    def can_run_on_DLA(self, layer: _Named) -> bool:
        return layer.name not in told("not_on_dla", [])

    def create_timing_cache(self, known: bytes) -> _Named | None:
        note("create_timing_cache", known.decode(errors="replace"))
        return None if known == b"damaged" else _Named(serialize=lambda: known + b"timed;")

    def set_timing_cache(self, cache: _Named, ignore: bool) -> bool:
        self.__dict__["cache"] = cache
        return True

    def get_timing_cache(self) -> _Named | None:
        return self.__dict__["cache"]  # type: ignore[no-any-return]


class Builder:
    """A builder that builds what it is told."""

    def __init__(self, logger: ILogger) -> None:
        logger.say("builder")
        if told("crash") == "builder":
            os.abort()
        if told("null") == "builder":
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self.logger = logger
        self.num_DLA_cores = told("dla_cores", 0)

    def create_network(self, flags: int) -> _Network:
        return _Network(flags)

    def create_builder_config(self) -> _Config:
        return _Config()

    def create_optimization_profile(self) -> Any:
        return _Named(set_shape=lambda *shapes: note("set_shape", *shapes))

    def build_serialized_network(self, network: _Network, config: _Config) -> bytes | None:
        note("loaded", sorted({"torch", "onnx", "yaml", "typer"} & set(sys.modules)))
        self.logger.say("build")
        if told("crash") == "build":
            os.abort()
        return None if told("null") == "build" else b"ftrt a plan of " + __version__.encode()


class OnnxParser:
    """A parser that takes everything, or what is told."""

    def __init__(self, network: _Network, logger: ILogger) -> None:
        self.errors = told("parser", [])
        self.num_errors = len(self.errors)
        self.logger = logger

    def parse_from_file(self, model: str) -> bool:
        note("parse", os.path.basename(model))
        self.logger.say("parse")
        return not self.errors and not told("unreadable", False)

    def get_error(self, index: int) -> _Named:
        operator, name, words = self.errors[index]
        error = _Named(node=lambda: index, desc=lambda: words)
        if MAJOR >= 10:
            error.__dict__.update(node_name=lambda: name, node_operator=lambda: operator)
        return error


class Runtime:
    """A runtime that opens what the builder made."""

    def __init__(self, logger: ILogger) -> None:
        self.logger = logger
        self.engine_host_code_allowed = False
        self.DLA_core = -1

    def deserialize_cuda_engine(self, plan: bytes) -> _Engine | None:
        note("deserialize", plan.decode(errors="replace"), self.engine_host_code_allowed, self.DLA_core)
        self.logger.say("open")
        return None if told("null") == "engine" else _Engine(self.logger)


class _Engine:
    def __init__(self, logger: ILogger) -> None:
        self.logger = logger
        rows = [(row, "INPUT") for row in told("inputs", [["input", "UINT8", [1, 32, 32, 3]]])]
        rows += [(row, "OUTPUT") for row in told("outputs", [["logits", "FLOAT", [1, 5]]])]
        self.rows: dict[str, tuple[_Named, Any]] = {
            row[0]: (_tensor(*row), TensorIOMode[mode]) for row, mode in rows
        }
        self.num_io_tensors = len(self.rows)

    def get_tensor_name(self, index: int) -> str:
        return list(self.rows)[index]

    def get_tensor_dtype(self, name: str) -> Any:
        return self.rows[name][0].dtype

    def get_tensor_shape(self, name: str) -> Any:
        return self.rows[name][0].shape

    def get_tensor_mode(self, name: str) -> Any:
        return self.rows[name][1]

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[Any]:
        return [(1, 32, 32, 3), (4, 32, 32, 3), (8, 32, 32, 3)]

    def create_engine_inspector(self) -> Any:
        return _Named(get_engine_information=lambda kind: json.dumps(told("information", {"Layers": []})))

    def create_execution_context(self) -> _Context | None:
        self.logger.say("context")
        return None if told("null") == "context" else _Context(self)

    def __del__(self) -> None:
        note("engine gone")


class _Context:
    def __init__(self, engine: _Engine) -> None:
        self.engine = engine
        self.profiler: Any = None
        self.shapes: dict[str, tuple[int, ...]] = {
            name: tensor.shape for name, (tensor, _) in engine.rows.items()
        }
        self.addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, dims: tuple[int, ...]) -> bool:
        if dims[0] > 8:
            return False
        self.shapes = {known: (dims[0], *shape[1:]) for known, shape in self.shapes.items()}
        self.shapes[name] = dims
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shapes[name]

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return address > 0

    def execute_async_v3(self, stream: int) -> bool:
        note("execute", stream, sorted(self.addresses.items()))
        self.engine.logger.say("execute")
        if self.profiler is not None:
            self.profiler.report_layer_time("conv", 0.5)
        return len(self.addresses) == len(self.engine.rows) and told("null") != "execute"


def init_libnvinfer_plugins(logger: ILogger, namespace: str) -> bool:
    """Register the vendor's plugins."""
    note("plugins", namespace)
    return True


class _Registry:
    def __init__(self) -> None:
        self.__dict__["get_plugin_creator" if MAJOR == 8 else "get_creator"] = self._find

    def _find(self, name: str, version: str, namespace: str) -> object | None:
        note("creator", name, version, namespace)
        return None if told("null") == "creator" else object()


def get_plugin_registry() -> _Registry:
    """Where plugins are looked up."""
    return _Registry()
