"""OpenVINO: the only module that knows its library, and every difference between its releases."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl import digest, isolate
from edgetl.backends.checks import check_inputs, check_stamp, noise, refuse_options, without_paths
from edgetl.backends.pool import PooledSession
from edgetl.backends.seam import Probe, Request
from edgetl.backends.telemetry import without
from edgetl.errors import BackendError, EdgetlError, EnvironmentLacks
from edgetl.types import Engine, LayerInfo, TensorSpec

with without("openvino_telemetry"):
    import openvino as ov

if TYPE_CHECKING:
    from edgetl.devices import DeviceProfile

__all__ = ["OpenVINO", "OpenVINORequest", "OpenVINOSession", "write_ir"]

Array = npt.NDArray[Any]

KINDS = ("CPU", "GPU", "NPU")
MEND = {
    "CPU": "pip install --force-reinstall openvino",
    "GPU": "apt-get install intel-opencl-icd (Intel's compute runtime), and add the user to the group render",
    "NPU": "install Intel's NPU driver: github.com/intel/linux-npu-driver",
}
XML, BIN = "model.xml", "model.bin"
TRIAL_STREAMS = "2"
"""As many as pictures are in flight (``verify.accuracy``)."""
WARM_RUNS = 20
PROFILED_RUNS = 20
IDLE_KINDS = frozenset({"Input", "Output", "Constant", "Const", "Parameter", "Result"})


class OpenVINO:
    """Engines for Intel CPUs, GPUs and NPUs; IR on disk, compiled on opening."""

    name = "openvino"

    def probe(self) -> Probe:
        """Devices that answer, and for the others the reason."""
        try:
            core = ov.Core()
            kinds = {_kind(device) for device in core.available_devices}
        except Exception as error:
            return Probe(usable=False, versions=self.fingerprint(), reason=_plain(error), mend=MEND["CPU"])
        absent = {kind: _why_absent(core, kind) for kind in KINDS if kind not in kinds}
        return Probe(
            usable=bool(kinds),
            devices=tuple(sorted(kinds)),
            versions=self.fingerprint(),
            reason="" if kinds else "no device answered",
            mend="" if kinds else MEND["CPU"],
            absent={kind: f"{reason}; {MEND[kind]}" for kind, reason in absent.items()},
        )

    def fingerprint(self) -> dict[str, str]:
        """The release, as ``2026.4.1``."""
        return {"openvino": _version()}

    def compile(self, model: Path, profile: DeviceProfile, workdir: Path) -> Engine:
        """Write IR for an ONNX file and prove that the device takes it, in a fresh process.

        OpenVINO numbers the nodes it makes through the life of a process: only the first thing that a process
        writes has the same bytes every time.
        """
        _require(profile.device)
        config = _config(profile)
        told = isolate.call(
            "edgetl.backends.openvino:write_ir",
            {"model": str(model), "folder": str(workdir), "device": profile.device, "config": config},
        )
        return _engine(model, profile, (XML, BIN), config, told)

    def open(
        self,
        engine: Engine,
        folder: Path,
        profile: DeviceProfile | None = None,
        *,
        cache: Path | None = None,
    ) -> OpenVINOSession:
        """Compile the IR for its device, with the settings that were measured."""
        kept = {} if cache is None else {"CACHE_DIR": str(cache)}
        return OpenVINOSession(engine, _compiled(engine, folder, kept))

    def trial(self, model: Path, profile: DeviceProfile) -> OpenVINOSession:
        """Compile an ONNX file here, without a child and without IR.

        Two streams, one a core on small machines, answer pictures 1.3 times as fast as one stream of two threads
        (mobilenet_v2 in f32 on AVX2), and to the same bit.
        """
        _require(profile.device)
        config = _config(profile)
        if profile.device == "CPU":
            config["NUM_STREAMS"] = TRIAL_STREAMS
        with _taken(model, profile.device):
            core = ov.Core()
            compiled = core.compile_model(core.read_model(model), profile.device, config)
        return OpenVINOSession(_engine(model, profile, (), config, _ports(compiled)), compiled)

    def explain(
        self,
        engine: Engine,
        folder: Path,
        profile: DeviceProfile | None = None,
        *,
        inputs: Mapping[str, Array] | None = None,
    ) -> list[LayerInfo]:
        """The executed graph, each layer with its precision and its mean time over twenty runs."""
        feed = {spec.name: noise(spec) for spec in engine.inputs} if inputs is None else inputs
        check_inputs(engine.inputs, feed)
        compiled = _compiled(engine, folder, {"PERF_COUNT": "YES"})
        with _mapped(engine.device):
            request = compiled.create_infer_request()
            for name, array in feed.items():
                request.set_tensor(name, ov.Tensor(np.ascontiguousarray(array)))
            times: dict[str, float] = defaultdict(float)
            for run in range(WARM_RUNS + PROFILED_RUNS):
                request.infer()
                for row in request.profiling_info if run >= WARM_RUNS else ():
                    times[row.node_name] += row.real_time.total_seconds() * 1e6 / PROFILED_RUNS
            layers = [_layer(op, times) for op in compiled.get_runtime_model().get_ordered_ops()]
        return [layer for layer in layers if layer.kind not in IDLE_KINDS]


class OpenVINOSession(PooledSession):
    """A compiled model; each request has tensors of its own, set once.

    Parameters
    ----------
    engine : what the model was compiled from.
    compiled : the model; ``open`` makes it, and a measurement may give one it already has.
    """

    def __init__(self, engine: Engine, compiled: ov.CompiledModel) -> None:
        super().__init__(engine.inputs, engine.outputs)
        self._compiled: ov.CompiledModel | None = compiled
        self._device = engine.device

    def _make_request(self) -> OpenVINORequest:
        with _mapped(self._device):
            assert self._compiled is not None
            return OpenVINORequest(self, self._compiled.create_infer_request(), self._device)

    def _release(self) -> None:
        self._compiled = None


class OpenVINORequest(Request):
    """One inference in flight.

    Tensors of fixed shape are made and set once: ``infer(array)`` would cost 5 % of a mobilenet_v2 each time,
    and casts another dtype without a word.
    """

    def __init__(self, session: OpenVINOSession, request: ov.InferRequest, device: str) -> None:
        self._request = request
        self._device = device
        self._outputs = [spec.name for spec in session.outputs]
        self._held: dict[str, Array] = {}
        self.inputs: Mapping[str, Array] = {
            spec.name: self._set(spec.name, spec.shape, spec.dtype)
            for spec in session.inputs
            if None not in spec.shape
        }
        self._answers: dict[str, Array] | None = None  # a dynamic output's memory moves: asked for each time
        if not any(None in spec.shape for spec in session.outputs):
            self._answers = {
                spec.name: self._set(spec.name, spec.shape, spec.dtype) for spec in session.outputs
            }

    def _set(self, name: str, shape: tuple[int | None, ...], dtype: str) -> Array:
        """Give the request a tensor of its own, and keep the array that looks into it."""
        tensor = ov.Tensor(np.zeros([dim or 0 for dim in shape], dtype), shared_memory=False)
        self._request.set_tensor(name, tensor)
        self._held[name] = tensor.data
        return self._held[name]

    def fill(self, inputs: Mapping[str, Array]) -> None:
        """Copy arrays in; an input of another size than last time gets a new tensor."""
        for name, array in inputs.items():
            held = self._held.get(name)
            if held is None or held.shape != array.shape:
                with _mapped(self._device):
                    held = self._set(name, array.shape, array.dtype.name)
            held[...] = array

    def start(self) -> None:
        """Begin, and return at once."""
        try:  # not _mapped: a context manager costs 1 us, and this is the path that is measured
            self._request.start_async()
        except Exception as error:
            raise _told(self._device, error) from error

    def wait(self) -> dict[str, Array]:
        """The outputs, as views that the next inference overwrites."""
        try:
            self._request.wait()
            return self._answers or self._moved()
        except Exception as error:
            raise _told(self._device, error) from error

    def infer(self) -> dict[str, Array]:
        """The outputs of an inference in this thread: what is started waits for another to wake."""
        try:
            self._request.infer(share_outputs=True)  # copies else, and nobody looks at its dictionary
            return self._answers or self._moved()
        except Exception as error:
            raise _told(self._device, error) from error

    def _moved(self) -> dict[str, Array]:
        """Outputs whose memory another shape may have moved."""
        return {name: self._request.get_tensor(name).data for name in self._outputs}


def write_ir(model: str, folder: str, device: str, config: dict[str, str]) -> dict[str, Any]:
    """Convert and prove, in a process that does nothing else; what the engine takes and gives.

    Raises
    ------
    BackendError : the library refused the graph. OSError : the disk is full.
    """
    core = ov.Core()
    with _taken(Path(model), device):
        graph = core.read_model(model)
        try:
            ov.save_model(graph, Path(folder) / XML, compress_to_fp16=False)
        except Exception as error:
            free = shutil.disk_usage(folder).free
            if (
                "iostream error" in str(error) and free < Path(model).stat().st_size
            ):  # all that it says of a full disk
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder) from error
            raise
        return _ports(core.compile_model(core.read_model(Path(folder) / XML), device, config))


@contextmanager
def _taken(model: Path, device: str) -> Iterator[None]:
    """What the library says of a graph that it does not take becomes an error of ours."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise BackendError(
            f"OpenVINO's {device} plugin refuses {model.name}: {_plain(error)}",
            hint="edgetl quantize makes graphs that it takes; --debug shows all it said",
            vendor=without_paths(str(error)),
        ) from error


def _ports(compiled: ov.CompiledModel) -> dict[str, Any]:
    """What a compiled model takes and gives."""
    return {
        "inputs": [_spec(port) for port in compiled.inputs],
        "outputs": [_spec(port) for port in compiled.outputs],
    }


def _engine(
    model: Path,
    profile: DeviceProfile,
    files: tuple[str, ...],
    config: dict[str, str],
    ports: Mapping[str, Any],
) -> Engine:
    return Engine(
        backend=OpenVINO.name,
        device=profile.device,
        precision=profile.precision,
        files=files,
        source=digest.of_file(model),
        config=config,
        built_with={"openvino": _version()},
        inputs=msgspec.convert(ports["inputs"], tuple[TensorSpec, ...]),
        outputs=msgspec.convert(ports["outputs"], tuple[TensorSpec, ...]),
    )


def _version() -> str:
    return str(ov.__version__).partition("-")[0]


def _kind(device: str) -> str:
    """``GPU`` of ``GPU.1``."""
    return device.partition(".")[0]


def _config(profile: DeviceProfile) -> dict[str, str]:
    """Options of a profile; ``f32`` is asked for by itself, for the default is bf16 on a CPU that has it."""
    refuse_options("openvino", profile.options)
    config = {}
    if profile.precision == "f32":
        config["INFERENCE_PRECISION_HINT"] = "f32"
    if profile.threads is not None and profile.device == "CPU":
        config["INFERENCE_NUM_THREADS"] = str(profile.threads)
    return config


def _compiled(engine: Engine, folder: Path, more: Mapping[str, str]) -> ov.CompiledModel:
    check_stamp(engine, "openvino", _version())
    _require(engine.device)
    with _mapped(engine.device):
        core = ov.Core()
        return core.compile_model(folder / engine.files[0], engine.device, {**engine.config, **more})


def _require(device: str) -> None:
    core = ov.Core()
    kind = _kind(device)
    if kind in {_kind(name) for name in core.available_devices}:
        return
    raise EnvironmentLacks(
        f"OpenVINO has no {device} on this host: {_why_absent(core, kind)}",
        hint=MEND.get(kind, "edgetl devices   says what is usable here"),
        device=device,
    )


def _why_absent(core: ov.Core, device: str) -> str:
    try:
        found = core.get_property(device, "AVAILABLE_DEVICES")
    except Exception as error:
        return _plain(error)
    return "it did not answer" if found else "its plugin is installed, but finds no device or no driver"


def _plain(error: Exception) -> str:
    """The sentence of a vendor's message that says something, without source positions and paths."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not re.match(r"^(Exception from|Check .*failed at|\S+\.cpp:\d+)", line)]
    return without_paths((told or lines or ["no reason given"])[-1])


def _told(device: str, error: Exception) -> BackendError:
    return BackendError(
        f"OpenVINO's {device} plugin failed: {_plain(error)}",
        hint="--debug shows all it said",
        vendor=without_paths(str(error)),
    )


@contextmanager
def _mapped(device: str) -> Iterator[None]:
    """Whatever the library raises becomes an error of ours: RuntimeError mostly, others for damaged files."""
    try:
        yield
    except EdgetlError:
        raise
    except Exception as error:
        raise _told(device, error) from error


def _spec(port: Any) -> dict[str, Any]:
    return {
        "name": port.get_any_name(),
        "dtype": str(np.dtype(port.element_type.to_dtype())),
        "shape": [None if dim.is_dynamic else dim.get_length() for dim in port.partial_shape],
    }


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
