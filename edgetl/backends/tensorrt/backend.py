"""The six methods that the rest of edgetl knows; nothing here imports TensorRT before a driver has answered."""

from __future__ import annotations

import importlib.util
import platform
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy.typing as npt

from edgetl import digest, isolate
from edgetl.backends import driver
from edgetl.backends.checks import check_inputs, noise
from edgetl.backends.driver import Driver, Gpu
from edgetl.backends.seam import Probe, Session
from edgetl.backends.tensorrt import comparable, inspector, memory, options, plugin, stamp, timing
from edgetl.backends.tensorrt.options import Options
from edgetl.errors import BackendError, EdgetlError, EnvironmentLacks
from edgetl.home import cache_folder
from edgetl.ops import shipped
from edgetl.types import Engine, LayerInfo, Record, TensorSpec

if TYPE_CHECKING:
    from edgetl.backends.tensorrt.execution import OpenedPlan
    from edgetl.devices import DeviceProfile

__all__ = ["TensorRT"]

Array = npt.NDArray[Any]

OLDEST = (8, 5)
"""The first release whose tensors have names at run time; older ones have no bindings for Python 3.10 either."""
DLA = "dla:"
WITHOUT_INT8 = (6, 2)
FIRST_INT8 = (6, 1)
WARM_RUNS = 20
PROFILED_RUNS = 20
ON_JETSON = "sudo apt install python3-libnvinfer, and make the venv with --system-site-packages"
"""JetPack brings its own TensorRT, which fits its driver; that of the package index does not."""


class _Host(Record, frozen=True, kw_only=True):
    """What this host has for TensorRT.

    Attributes
    ----------
    typed : a quantized graph's own types hold.
    reason, mend : why it is not usable, and what to do; empty where it is.
    """

    version: str = ""
    typed: bool = False
    dla_cores: int = 0
    driver: Driver = Driver()
    reason: str = ""
    mend: str = ""


class TensorRT:
    """Engines for NVIDIA GPUs and DLAs: a raw plan, built on the device it runs on."""

    name = "tensorrt"

    def probe(self) -> Probe:
        """GPU and DLA cores where driver and library answer; each is asked in a process of its own."""
        host = _host()
        cores = tuple(f"{DLA}{core}" for core in range(host.dla_cores))
        return Probe(
            usable=not host.reason,
            devices=() if host.reason else ("GPU", *cores),
            versions=self.fingerprint(),
            reason=host.reason,
            mend=host.mend,
            typed=host.typed,
        )

    def fingerprint(self) -> dict[str, str]:
        """The release, and what an engine built here is for; empty where there is none."""
        host = _host()
        if host.reason or not host.driver.gpus:
            return {"tensorrt": host.version} if host.version else {}
        return stamp.built_with(host.version, host.driver.gpus[0], host.driver.version)

    def compile(self, model: Path, profile: DeviceProfile, workdir: Path) -> Engine:
        """Build a plan in a fresh process without torch, whose end gives all the builder's memory back."""
        asked = options.read(profile.options)
        host, gpu = _require(profile.device)
        _check_precision(profile.precision, gpu)
        given = dict(profile.options)
        if gpu.integrated:
            given["memPoolSize"] = memory.capped(asked.pools)
            memory.check(options.pools(options.read(given))["workspace"])
        here = stamp.built_with(host.version, gpu, host.driver.version)
        library = None
        if plugin.is_needed(model):
            library = plugin.find(asked.plugin, model.parent / shipped.FOLDER, here, cache_folder())
        timings = cache_folder() / "tensorrt" / timing.name_of(_timed_on(host, gpu))
        told = isolate.call(
            "edgetl.backends.tensorrt.build:build_plan",
            {
                "model": str(model),
                "folder": str(workdir),
                "precision": profile.precision,
                "dla": _core(profile.device),
                "options": given,
                "timings": str(timings) if asked.timing_cache else None,
                "plugin": None if library is None else str(library.path),
            },
        )
        brought = {} if library is None else plugin.keep(library, workdir)
        return Engine(
            backend=self.name,
            device=profile.device,
            precision=profile.precision,
            files=(stamp.PLAN, *((plugin.LIBRARY,) if brought else ())),
            source=digest.of_file(model),
            config={**_config(workdir / stamp.PLAN, asked, told), **brought},
            built_with=here,
            inputs=msgspec.convert(told["inputs"], tuple[TensorSpec, ...]),
            outputs=msgspec.convert(told["outputs"], tuple[TensorSpec, ...]),
        )

    def open(
        self,
        engine: Engine,
        folder: Path,
        profile: DeviceProfile | None = None,
        *,
        cache: Path | None = None,
    ) -> Session:
        """Check stamp and digest, deserialise, and hand the contexts to a CUDA session."""
        from edgetl.backends.cuda import CudaSession

        session = CudaSession(engine, _opened(engine, folder).execution)
        session.facts["trtexec"] = comparable.trtexec(session.facts, engine.built_with["tensorrt"])
        return session

    def trial(self, model: Path, profile: DeviceProfile) -> Session:
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
        """The inspector's layers, each with its mean time over twenty runs under TensorRT's own profiler."""
        feed = {spec.name: noise(spec) for spec in engine.inputs} if inputs is None else inputs
        check_inputs(engine.inputs, feed)
        plan = _opened(engine, folder)
        return inspector.layers(plan.information(), _layer_times(engine, plan, feed))


@cache
def _host() -> _Host:
    """Asked once a process: a driver or library that comes later takes a new one."""
    on_jetson = platform.machine() == "aarch64"
    install = ON_JETSON if on_jetson else "pip install 'edgetl[tensorrt]'"
    if importlib.util.find_spec("tensorrt") is None:
        return _Host(reason="TensorRT is not installed", mend=install)
    found = driver.find()
    try:
        told = isolate.call("edgetl.backends.tensorrt.probing:look", {"with_builder": not found.reason})
    except EdgetlError as error:
        mend = error.hint if isinstance(error, BackendError) else install
        return _Host(driver=found, reason=error.problem, mend=mend)
    host = _Host(**told, driver=found, reason=found.reason, mend=driver.MEND if found.reason else "")
    if stamp.numbers(host.version) >= OLDEST:
        return host
    return msgspec.structs.replace(
        host,
        reason=f"TensorRT {host.version} is older than 8.5",
        mend="a JetPack from 6.0 on brings a newer one",
    )


def _require(device: str) -> tuple[_Host, Gpu]:
    """This host, which has the device."""
    host = _host()
    if host.reason:
        raise EnvironmentLacks(f"TensorRT has no {device} on this host: {host.reason}", hint=host.mend)
    gpu = host.driver.gpus[0]
    core = _core(device)
    if device != "GPU" and (core is None or core >= host.dla_cores):
        raise EnvironmentLacks(
            f"TensorRT has no {device} on this host: {gpu.name} has {host.dla_cores or 'no'} DLA cores",
            hint="device: GPU in the profile",
            device=device,
        )
    return host, gpu


def _core(device: str) -> int | None:
    """The DLA core that a device string names."""
    number = device.removeprefix(DLA)
    return int(number) if device.startswith(DLA) and number.isdecimal() else None


def _check_precision(precision: str, gpu: Gpu) -> None:
    """INT8 on a GPU without its instructions would run slower than FP16, where it runs at all."""
    capability = stamp.numbers(gpu.capability)
    if precision == "int8" and (capability < FIRST_INT8 or capability == WITHOUT_INT8):
        raise EnvironmentLacks(
            f"{gpu.name} (compute capability {gpu.capability}) has no INT8",
            hint="--precision default   builds it in FP16",
            capability=gpu.capability,
        )


def _timed_on(host: _Host, gpu: Gpu) -> dict[str, str]:
    return {**stamp.built_with(host.version, gpu, host.driver.version), "power_mode": memory.power_mode()}


def _config(plan: Path, asked: Options, told: Mapping[str, Any]) -> dict[str, str]:
    """What opening checks, and what cannot be read off the plan."""
    config = {stamp.DIGEST: digest.of_file(plan), "typing": told["typing"]}
    if asked.any_release:
        config[stamp.ANY_RELEASE] = "true"
    if asked.hardware != "none":
        config[stamp.HARDWARE] = asked.hardware
    if told["on_gpu"]:
        config["on_gpu"] = ", ".join(told["on_gpu"])
    return config


def _opened(engine: Engine, folder: Path) -> OpenedPlan:
    """The plan on this device, once it is what its record says."""
    host, gpu = _require(engine.device)
    plan = stamp.trusted_plan(engine, folder, host.version, gpu)
    library = plugin.trusted(engine, folder)
    from edgetl.backends.tensorrt.execution import OpenedPlan

    return OpenedPlan(
        plan,
        dla=_core(engine.device),
        any_release=engine.config.get(stamp.ANY_RELEASE) == "true",
        plugin=None if library is None else str(library.absolute()),
    )


def _layer_times(engine: Engine, plan: OpenedPlan, feed: Mapping[str, Array]) -> dict[str, float]:
    """Mean milliseconds of each layer; none where this host cannot run a session."""
    from edgetl.backends.cuda import CudaSession, on_pycuda
    from edgetl.backends.tensorrt.execution import Times

    try:
        gpu = on_pycuda.find()
    except EnvironmentLacks:  # no binding of CUDA: what the layers compute in is known without one
        return {}
    times = Times()
    session = CudaSession(engine, lambda: plan.execution(times), driver=gpu, graphs=False)
    try:
        for run in range(WARM_RUNS + PROFILED_RUNS):
            if run == WARM_RUNS:
                times.milliseconds.clear()
            session.run(feed)
    finally:
        session.close()
    return {name: total / PROFILED_RUNS for name, total in times.milliseconds.items()}
