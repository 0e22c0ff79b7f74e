"""ONNX Runtime on the CPU: a second engine, and the reference that the others are held against."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import onnxruntime as ort

from edgetl import digest
from edgetl.backends.checks import check_inputs, check_stamp, noise, refuse_options, without_paths
from edgetl.backends.pool import HeldInputs, PooledSession
from edgetl.backends.seam import Probe, Request
from edgetl.errors import BackendError, EdgetlError, EnvironmentLacks
from edgetl.types import Engine, LayerInfo, TensorSpec

if TYPE_CHECKING:
    from edgetl.devices import DeviceProfile

__all__ = ["ONNXRuntime", "ORTRequest", "ORTSession"]

Array = npt.NDArray[Any]

FILE = "model.onnx"
PROVIDERS = ["CPUExecutionProvider"]
THREADS = "intra_op_num_threads"
FLOAT_PAIRS = "session.disable_quant_qdq"
EXACT_SUMS = "session.x64quantprecision"
"""Adds products of bytes without overflow on processors without VNNI, where the default saturates; others ignore it."""
WARM_RUNS = 20
PROFILED_RUNS = 20
DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}
INT8_KINDS = re.compile(
    r"^(QLinear|QGemm|QMoE|ConvInteger|MatMulInteger|DynamicQuantize|NhwcMaxPool|QAttention)"
)


class ONNXRuntime:
    """Engines for ONNX Runtime's CPU provider; the engine is the ONNX file."""

    name = "onnxruntime"

    def probe(self) -> Probe:
        """The CPU provider is part of every build."""
        return Probe(usable=True, devices=("CPU",), versions=self.fingerprint())

    def fingerprint(self) -> dict[str, str]:
        """The release."""
        return {"onnxruntime": str(ort.__version__)}

    def compile(self, model: Path, profile: DeviceProfile, workdir: Path) -> Engine:
        """Prove that the runtime takes the file, and copy it."""
        if profile.device != "CPU":
            raise EnvironmentLacks(
                f"the onnxruntime backend has no {profile.device}: it runs on the CPU",
                hint="device: CPU in the profile",
            )
        target = workdir / FILE
        shutil.copyfile(model, target)
        config = _config(profile)
        with _mapped(model.name):
            session = ort.InferenceSession(str(target), _options(config), providers=PROVIDERS)
        return Engine(
            backend=self.name,
            device="CPU",
            precision=profile.precision,
            files=(FILE,),
            source=digest.of_file(model),
            config=config,
            built_with=self.fingerprint(),
            inputs=tuple(_spec(node) for node in session.get_inputs()),
            outputs=tuple(_spec(node) for node in session.get_outputs()),
        )

    def open(
        self,
        engine: Engine,
        folder: Path,
        profile: DeviceProfile | None = None,
        *,
        cache: Path | None = None,
    ) -> ORTSession:
        """Load the file."""
        check_stamp(engine, "onnxruntime", str(ort.__version__))
        with _mapped(engine.files[0]):
            session = ort.InferenceSession(
                str(folder / engine.files[0]), _options(engine.config), providers=PROVIDERS
            )
        return ORTSession(engine, session)

    def trial(self, model: Path, profile: DeviceProfile) -> ORTSession:
        """The same, in a folder that is gone when it is open."""
        with tempfile.TemporaryDirectory() as scratch:
            return self.open(self.compile(model, profile, Path(scratch)), Path(scratch))

    def explain(
        self,
        engine: Engine,
        folder: Path,
        profile: DeviceProfile | None = None,
        *,
        inputs: Mapping[str, Array] | None = None,
    ) -> list[LayerInfo]:
        """The nodes of the optimised graph as profiled, with their mean time."""
        feed = {spec.name: noise(spec) for spec in engine.inputs} if inputs is None else inputs
        check_inputs(engine.inputs, feed)
        with tempfile.TemporaryDirectory() as scratch, _mapped(engine.files[0]):
            options = _options(engine.config)
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(scratch) / "profile")
            session = ort.InferenceSession(str(folder / engine.files[0]), options, providers=PROVIDERS)
            for _ in range(WARM_RUNS + PROFILED_RUNS):
                session.run(None, feed)
            events = json.loads(Path(session.end_profiling()).read_text())
        return _layers(events)


class ORTSession(PooledSession):
    """An inference session; ONNX Runtime lets threads share it."""

    def __init__(self, engine: Engine, session: ort.InferenceSession) -> None:
        super().__init__(engine.inputs, engine.outputs)
        self._session: ort.InferenceSession | None = session
        self._workers = ThreadPoolExecutor(thread_name_prefix="edgetl-onnxruntime")

    def _make_request(self) -> ORTRequest:
        assert self._session is not None
        return ORTRequest(self, self._session, self._workers)

    def _release(self) -> None:
        self._session = None  # the workers end with the last request that has them: it may still be running


class ORTRequest(HeldInputs, Request):
    """One inference in flight, on a thread of the session's: the runtime's own call blocks, its ``run_async``
    works only where it may use several threads.
    """

    def __init__(self, owner: ORTSession, session: ort.InferenceSession, workers: ThreadPoolExecutor) -> None:
        super().__init__(owner.inputs)
        self._session = session
        self._workers = workers
        self._names = [spec.name for spec in owner.outputs]
        self._running: Future[list[Array]] | None = None

    def start(self) -> None:
        """Begin, and return at once."""
        with _mapped("the model"):
            self._running = self._workers.submit(self._session.run, self._names, self.inputs)

    def wait(self) -> dict[str, Array]:
        """The outputs."""
        assert self._running is not None, "start comes before wait"
        with _mapped("the model"):
            return dict(zip(self._names, self._running.result()))

    def infer(self) -> dict[str, Array]:
        """The outputs of an inference in this thread."""
        with _mapped("the model"):
            return dict(zip(self._names, self._session.run(self._names, self.inputs)))


def _config(profile: DeviceProfile) -> dict[str, str]:
    """What opening the engine again takes: threads, and how Q/DQ pairs are computed.

    A graph for TensorRT runs here as a reference, as ONNX defines it: the fused integer kernels would saturate its
    full-range weights on a processor without VNNI, and the figures would be this processor's and not the graph's.
    """
    refuse_options("onnxruntime", profile.options)
    config = {EXACT_SUMS: "1"} | ({} if profile.threads is None else {THREADS: str(profile.threads)})
    return config | ({FLOAT_PAIRS: "1"} if profile.scheme.startswith("tensorrt") else {})


def _options(config: Mapping[str, str]) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 4  # the exception says it again
    if THREADS in config:
        options.intra_op_num_threads = int(config[THREADS])
    for entry in (FLOAT_PAIRS, EXACT_SUMS):
        if entry in config:
            options.add_session_config_entry(entry, config[entry])
    return options


@contextmanager
def _mapped(what: str) -> Iterator[None]:
    try:
        yield
    except EdgetlError:
        raise
    except Exception as error:  # the library's exceptions share no class of their own
        words = without_paths(str(error))
        plain = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", words)
        raise BackendError(
            f"ONNX Runtime refuses {what}: {plain}", hint="--debug shows all it said", vendor=words
        ) from error


def _spec(node: Any) -> TensorSpec:
    if node.type not in DTYPES:
        raise BackendError(f"{node.name} is {node.type}, which is not supported", hint="tensors only")
    shape = tuple(dim if isinstance(dim, int) else None for dim in node.shape)
    return TensorSpec(name=node.name, dtype=DTYPES[node.type], shape=shape)


def _layers(events: list[dict[str, Any]]) -> list[LayerInfo]:
    """One row a node, in the order they first ran; the warm-up runs are left out."""
    runs: dict[str, list[float]] = {}
    kinds: dict[str, tuple[str, str]] = {}
    for event in events:
        if event.get("cat") != "Node" or not event["name"].endswith("_kernel_time"):
            continue
        name = event["name"].removesuffix("_kernel_time")
        runs.setdefault(name, []).append(float(event["dur"]))
        kinds[name] = event["args"]["op_name"], _precision(event["args"])
    return [
        LayerInfo(
            name=name,
            kind=kinds[name][0],
            precision=kinds[name][1],
            microseconds=sum(times[-PROFILED_RUNS:]) / PROFILED_RUNS,
        )
        for name, times in runs.items()
    ]


def _precision(arguments: Mapping[str, Any]) -> str:
    """What a node computes in: its kind says INT8; else the type of its first input."""
    if INT8_KINDS.match(arguments["op_name"]):
        return "u8"
    shapes = arguments.get("input_type_shape") or [{}]
    first = next(iter(shapes[0]), "float")
    return {"float": "f32", "uint8": "u8", "int8": "i8", "float16": "f16"}.get(first, first)
