"""OpenVINO: the only module that knows its library, and every difference between its releases."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import openvino as ov

from edgetl import digest, isolate
from edgetl.backends.pool import PooledSession
from edgetl.backends.seam import Probe
from edgetl.devices import DeviceProfile
from edgetl.errors import BackendError, EnvironmentLacks, NotComparable
from edgetl.types import Engine, LayerInfo, TensorSpec

__all__ = ["OpenVINO"]

Array = npt.NDArray[Any]

MEND = {
    "GPU": "install Intel's compute runtime: apt-get install intel-opencl-icd",
    "NPU": "install Intel's NPU driver (github.com/intel/linux-npu-driver)",
}
XML = "model.xml"
WARM_RUNS = 20
PROFILED_RUNS = 20
IDLE_KINDS = frozenset({"Input", "Output", "Constant", "Const", "Parameter", "Result"})


class OpenVINO:
    """Engines for Intel CPUs, GPUs and NPUs; IR on disk, compiled on opening."""

    name = "openvino"

    def probe(self) -> Probe:
        """Devices that answer, and for the others the reason."""
        core = ov.Core()
        present = tuple(core.available_devices)
        kinds = {device.partition(".")[0] for device in present}
        absent = {device: _why_absent(core, device) for device in ("CPU", "GPU", "NPU") if device not in kinds}
        return Probe(
            usable=bool(present),
            devices=tuple(sorted(kinds)),
            versions=self.fingerprint(),
            reason="" if present else "no device answered",
            mend="" if "CPU" in kinds else MEND["GPU"],
            absent=absent,
        )

    def fingerprint(self) -> dict[str, str]:
        """The release, as ``2026.4.1``."""
        return {"openvino": _release()}

    def compile(self, model: Path, profile: DeviceProfile, workdir: Path) -> Engine:
        """Write IR for an ONNX file and prove that the device takes it, in a fresh process.

        OpenVINO's writer is byte-stable only as the first thing a process does.
        """
        _require(profile.device)
        config = _config(profile)
        told = isolate.call(
            "edgetl.backends.openvino:write_ir",
            {"model": str(model), "folder": str(workdir), "device": profile.device, "config": config},
        )
        return Engine(
            backend=self.name,
            device=profile.device,
            precision=profile.precision,
            files=(XML, "model.bin"),
            source=digest.of_file(model),
            config=config,
            built_with=self.fingerprint(),
            inputs=msgspec.convert(told["inputs"], tuple[TensorSpec, ...]),
            outputs=msgspec.convert(told["outputs"], tuple[TensorSpec, ...]),
        )

    def open(self, engine: Engine, folder: Path, profile: DeviceProfile) -> OpenVINOSession:
        """Compile the IR for its device, with the settings that were measured."""
        return OpenVINOSession(engine, _compile(engine, folder, {}))

    def explain(self, engine: Engine, folder: Path, profile: DeviceProfile) -> list[LayerInfo]:
        """The executed graph, each layer with its precision and its mean time over twenty runs."""
        compiled = _compile(engine, folder, {"PERF_COUNT": "YES"})
        with _mapped(engine.device):
            request = compiled.create_infer_request()
            for port in compiled.inputs:
                shape = [1 if dim.is_dynamic else dim.get_length() for dim in port.partial_shape]
                request.set_tensor(port, ov.Tensor(_noise(shape, port.element_type.to_dtype())))
            times: dict[str, float] = defaultdict(float)
            for run in range(WARM_RUNS + PROFILED_RUNS):
                request.infer()
                for row in request.profiling_info if run >= WARM_RUNS else ():
                    times[row.node_name] += row.real_time.total_seconds() * 1e6 / PROFILED_RUNS
            ops = sorted(compiled.get_runtime_model().get_ops(), key=_order)
            layers = [_layer(op, times) for op in ops]
        return [layer for layer in layers if layer.kind not in IDLE_KINDS]


class OpenVINOSession(PooledSession):
    """A compiled model; each request has tensors of its own, set once."""

    def __init__(self, engine: Engine, compiled: ov.CompiledModel) -> None:
        super().__init__(engine.inputs, engine.outputs)
        self._compiled: ov.CompiledModel | None = compiled
        self._device = engine.device

    def request(self) -> OpenVINORequest:
        """A new inference request."""
        if self._compiled is None:
            raise BackendError("the session is closed", hint="open the engine again")
        with _mapped(self._device):
            return OpenVINORequest(self, self._compiled.create_infer_request(), self._device)

    def close(self) -> None:
        """Let the compiled model go."""
        super().close()
        self._compiled = None


class OpenVINORequest:
    """One inference in flight."""

    def __init__(self, session: OpenVINOSession, request: ov.InferRequest, device: str) -> None:
        self._request = request
        self._device = device
        self._names = [spec.name for spec in session.outputs]
        self._tensors: dict[str, ov.Tensor] = {}
        for spec in session.inputs:
            if None not in spec.shape:
                self._set(spec.name, np.zeros([int(dim or 0) for dim in spec.shape], spec.dtype))
        self.inputs: Mapping[str, Array] = {name: tensor.data for name, tensor in self._tensors.items()}

    def _set(self, name: str, array: Array) -> None:
        tensor = ov.Tensor(np.ascontiguousarray(array), shared_memory=False)
        self._tensors[name] = tensor
        self._request.set_tensor(name, tensor)

    def fill(self, inputs: Mapping[str, Array]) -> None:
        """Copy arrays in; an input of another size than last time gets a new tensor."""
        for name, array in inputs.items():
            tensor = self._tensors.get(name)
            if tensor is not None and tuple(tensor.shape) == array.shape:
                tensor.data[...] = array
            else:
                self._set(name, array)

    def start(self) -> None:
        """Begin, and return at once."""
        with _mapped(self._device):
            self._request.start_async()

    def wait(self) -> dict[str, Array]:
        """The outputs, as views that the next start overwrites."""
        with _mapped(self._device):
            self._request.wait()
            return {
                name: self._request.get_output_tensor(index).data for index, name in enumerate(self._names)
            }


def write_ir(model: str, folder: str, device: str, config: dict[str, str]) -> dict[str, Any]:
    """Convert and prove, in a process that does nothing else; what the engine takes and gives."""
    core = ov.Core()
    try:
        graph = core.read_model(model)
        ov.save_model(graph, Path(folder) / XML, compress_to_fp16=False)
        compiled = core.compile_model(core.read_model(Path(folder) / XML), device, config)
    except Exception as error:
        raise BackendError(
            f"OpenVINO's {device} plugin refuses {Path(model).name}: {_plain(error)}",
            hint="edgetl quantize makes graphs that it takes; --debug shows all it said",
            vendor=str(error),
        ) from error
    return {
        "inputs": [_spec(port) for port in compiled.inputs],
        "outputs": [_spec(port) for port in compiled.outputs],
    }


def _release() -> str:
    return str(ov.__version__).partition("-")[0]


def _config(profile: DeviceProfile) -> dict[str, str]:
    config = {}
    if profile.precision == "f32":
        config["INFERENCE_PRECISION_HINT"] = "f32"
    if profile.threads is not None and profile.device == "CPU":
        config["INFERENCE_NUM_THREADS"] = str(profile.threads)
    return config


def _compile(engine: Engine, folder: Path, more: Mapping[str, str]) -> ov.CompiledModel:
    _same_release(engine)
    _require(engine.device)
    with _mapped(engine.device):
        core = ov.Core()
        return core.compile_model(core.read_model(folder / engine.files[0]), engine.device, {**engine.config, **more})


def _same_release(engine: Engine) -> None:
    """IR is promised to open within a release and after it; an older library must not guess at a newer file."""
    built, here = engine.built_with.get("openvino", "0"), _release()
    if _numbers(built) > _numbers(here):
        raise NotComparable(
            f"the engine was built with OpenVINO {built}, this host has {here}",
            hint=f"pip install 'openvino>={built}', or build the bundle again here",
            built_with=built,
            found=here,
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _require(device: str) -> None:
    core = ov.Core()
    if device.partition(".")[0] not in {name.partition(".")[0] for name in core.available_devices}:
        raise EnvironmentLacks(
            f"OpenVINO has no {device} on this host: {_why_absent(core, device)}",
            hint=MEND.get(device.partition(".")[0], "edgetl devices   says what is usable here"),
            device=device,
        )


def _why_absent(core: ov.Core, device: str) -> str:
    try:
        found = core.get_property(device, "AVAILABLE_DEVICES")
    except Exception as error:
        return _plain(error)
    return "it did not answer" if found else "the plugin is there, but finds no device or no driver"


def _plain(error: Exception) -> str:
    """The sentence of a vendor's message that says something, without its source positions and paths."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not re.match(r"^(Exception from|Check .*failed at|.*\.cpp:\d+)", line)]
    text = (told or lines or ["no reason given"])[-1]
    return re.sub(r"/[^\s\"':]+/", "", text).replace('"', "").strip()


@contextmanager
def _mapped(device: str) -> Iterator[None]:
    """Whatever the library raises becomes an error of ours: it raises RuntimeError, and others for damaged files."""
    try:
        yield
    except Exception as error:
        raise BackendError(
            f"OpenVINO's {device} plugin failed: {_plain(error)}", hint="--debug shows all it said", vendor=str(error)
        ) from error


def _spec(port: Any) -> dict[str, Any]:
    return {
        "name": port.get_any_name(),
        "dtype": str(np.dtype(port.element_type.to_dtype())),
        "shape": [None if dim.is_dynamic else dim.get_length() for dim in port.partial_shape],
    }


def _noise(shape: list[int], dtype: Any) -> Array:
    """Pixels for profiling; zeros would let kernels that skip zeros look fast."""
    values = np.random.default_rng(0).integers(0, 256, shape)
    return np.ascontiguousarray(values.astype(dtype) if np.dtype(dtype) == np.uint8 else (values / 255).astype(dtype))


def _order(op: Any) -> int:
    info = op.get_rt_info()
    told = str(info["execOrder"].astype(str)) if "execOrder" in info else ""
    return int(told) if told.isdigit() else -1


def _layer(op: Any, times: Mapping[str, float]) -> LayerInfo:
    info = op.get_rt_info()

    def told(key: str) -> str:
        return str(info[key].astype(str)) if key in info else ""

    name = op.get_friendly_name()
    return LayerInfo(
        name=name,
        kind=told("layerType") or op.get_type_name(),
        precision=told("runtimePrecision"),
        microseconds=times.get(name),
        kernel=told("primitiveType"),
        origin=told("originalLayersNames"),
    )
