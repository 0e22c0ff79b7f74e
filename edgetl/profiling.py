"""``edgetl profile-device``: the latency model of the device that this host is, or that bundles were timed on."""

from __future__ import annotations

import shlex
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from edgetl import devices, models, pipeline
from edgetl.advise import cost, haste, latency_model
from edgetl.advise.cost import Cost
from edgetl.advise.latency_model import LatencyModel, Measured
from edgetl.advising import model_file, runs_here
from edgetl.bundles import Answer, opened
from edgetl.cache import Cache
from edgetl.devices import DeviceProfile
from edgetl.errors import EnvironmentLacks, InputError
from edgetl.pipeline import Context, Progress, Silent
from edgetl.stages import backbone
from edgetl.surveying import latencies
from edgetl.types import BuildSpec

__all__ = ["FEW", "NETWORKS", "SIZES", "from_bundles", "profile_device"]

NETWORKS = (
    "efficientnet_b0",
    "googlenet",
    "mnasnet0_5",
    "mnasnet1_0",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "regnet_y_400mf",
    "regnet_x_800mf",
    "resnet18",
    "resnet34",
    "resnet50",
    "shufflenet_v2_x1_0",
    "squeezenet1_1",
)
"""Of many forms: plain, residual, separable, squeezed, shuffled. Their weights are random, for time is asked."""
FEW = (
    "mnasnet1_0",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "resnet18",
    "resnet50",
    "shufflenet_v2_x1_0",
    "squeezenet1_1",
)
"""One of each form, for a rough model."""
SIZES = (160, 224)
ROUGH = 0.3
"""Median error of networks that were left out, from which a prediction is no ground for a choice."""


@dataclass(frozen=True)
class _Made:
    model: str
    size: int
    cost: Cost
    engine: Path


def profile_device(
    device: str,
    *,
    devices_file: Path | None = None,
    networks: Sequence[str] = NETWORKS,
    sizes: Sequence[int] = SIZES,
    out: Path | None = None,
    cache: Path,
    progress: Progress,
) -> Answer:
    """Time networks in INT8 and fit the latency model to them.

    Parameters
    ----------
    networks : that are timed, each at every size. out : file for the model; it is kept in the cache as well.

    Raises
    ------
    InputError : a network is not known, or there are too few of them.
    EnvironmentLacks : this host is not the device, or cannot run its engines.
    """
    profile = devices.load(devices_file).find(device)
    _refuse(profile, networks)
    progress.planned([*(f"make:{name}" for name in networks), "time"])
    with tempfile.TemporaryDirectory() as scratch:
        made = [
            one
            for number, name in enumerate(networks)
            for one in _make(
                name, sizes, profile, Path(scratch), Cache(cache), progress, number == len(networks) - 1
            )
        ]
        engines = {f"{one.model} {one.size}": one.engine for one in made}
        times = latencies(engines, here=True, seed=0, progress=progress)
    measured = [
        Measured(
            model=one.model, size=one.size, p50_ms=times[f"{one.model} {one.size}"].p50_ms, cost=one.cost
        )
        for one in made
    ]
    return _fitted(measured, profile, devices.host_fingerprint(), devices_file, _places(profile, out, cache))


def from_bundles(
    places: Sequence[Path],
    device: str,
    *,
    devices_file: Path | None = None,
    out: Path | None = None,
    cache: Path,
) -> Answer:
    """Fit the latency model of a device to bundles whose engines were timed on it.

    Parameters
    ----------
    places : of bundles, of six backbones at least. out : as of ``profile_device``.

    Raises
    ------
    InputError : a bundle is of another device, its INT8 engine was not timed or not on the device; there are too few.
    """
    profile = devices.load(devices_file).find(device)
    found = [_timed(place, profile) for place in places]
    hosts = sorted({host for _, host in found})
    if len(hosts) > 1:
        raise InputError(
            f"the bundles were timed on {len(hosts)} processors: {', '.join(hosts)}",
            hint="a latency model is of one machine: give the bundles of one",
        )
    return _fitted(
        [one for one, _ in found], profile, {"cpu": hosts[0]}, devices_file, _places(profile, out, cache)
    )


def _timed(place: Path, profile: DeviceProfile) -> tuple[Measured, str]:
    """What a bundle's INT8 engine took, and the processor of the machine that it was timed on."""
    with opened(place) as bundle:
        told, results = bundle.manifest, bundle.results
        if told.device != profile.name:
            raise InputError(
                f"{place} is of {told.device}, not of {profile.name}", hint=f"--device {told.device}"
            )
        p50 = (results.get("latency_ms", {}).get("int8") or {}).get("p50")
        if p50 is None:
            raise InputError(
                f"{place} has no latency of an INT8 engine",
                hint="edgetl build --host user@device   times it on the device",
            )
        cpu = str((results.get("context") or {}).get("cpu") or "unknown")
        wanted = () if profile.backend == "tensorrt" else profile.hosts.cpu_model
        if wanted and not any(part in cpu for part in wanted):
            raise InputError(
                f"{place} was timed on {cpu}, which is no {profile.name}",
                hint="edgetl build --host user@device   times it on the device",
            )
        counted = cost.of_model(bundle.folder / "model.fp32.onnx")
        return Measured(model=told.model, size=bundle.preprocess.width, p50_ms=p50, cost=counted), cpu


def _places(profile: DeviceProfile, out: Path | None, cache: Path) -> list[Path]:
    """Files that the model of a device is kept in."""
    return [file for file in (model_file(profile.name, cache), out) if file is not None]


def _fitted(
    measured: Sequence[Measured],
    profile: DeviceProfile,
    host: dict[str, str],
    devices_file: Path | None,
    places: Sequence[Path],
) -> Answer:
    """Fit, keep and tell."""
    found = latency_model.fit(measured, device=profile.name, backend=profile.backend, host=host)
    for place in places:
        latency_model.write(found, place)
    told = "" if devices_file is None else f" --devices {shlex.quote(str(devices_file))}"
    command = f"edgetl advise{told} --device {found.device} --latency-model {shlex.quote(str(places[-1]))} --data DIR"
    lines = [*_lines(found), *(f"  written to {place}" for place in places), "", f"  next     {command}"]
    return Answer({**msgspec.to_builtins(found), "files": [str(file) for file in places]}, lines)


def _refuse(profile: DeviceProfile, networks: Sequence[str]) -> None:
    for name in networks:
        models.find(name)
    if profile.scheme == "none":
        raise InputError(
            f"{profile.name} has no INT8, whose latency the model is of",
            hint="edgetl devices   lists the profiles",
        )
    twice = [name for name, times in Counter(networks).items() if times > 1]
    if twice:
        raise InputError(f"{twice[0]} is named more than once", hint="name each network once")
    if len(networks) < latency_model.LEAST:
        raise InputError(
            f"{len(networks)} networks, a latency model takes {latency_model.LEAST}",
            hint="name more of them, or none for the usual ones",
        )
    if not devices.host_is(profile):
        raise EnvironmentLacks(
            f"{devices.host_note(profile)}: its latency is measured on it",
            hint=f"edgetl profile-device --device {profile.name} --out FILE on the device, the file works anywhere; "
            "or --results with bundles that were timed on it",
        )
    if not runs_here(profile):
        raise EnvironmentLacks(f"{profile.backend} {profile.device} does not run here", hint="edgetl doctor")


def _make(
    name: str,
    sizes: Sequence[int],
    profile: DeviceProfile,
    scratch: Path,
    store: Cache,
    progress: Progress,
    is_last: bool,
) -> list[_Made]:
    """Engines of one network, with what an inference of each costs."""
    stage, begun, found = f"make:{name}", time.perf_counter(), []
    progress.started(stage)
    for size in sizes:
        spec = BuildSpec(data="", model=name, weights="none", image_size=size)
        exporting = backbone.stage(spec, with_features=True, cast_first=profile.backend == "tensorrt")
        artifact = pipeline.run([exporting], store, Context(progress=Silent()))["backbone"]
        plain, engine = artifact.path / backbone.FEATURES, scratch / name / str(size) / "engine"
        engine.parent.mkdir(parents=True)
        noise = np.random.default_rng(0).integers(0, 256, (haste.CALIBRATE, size, size, 3), dtype=np.uint8)
        haste.compile_int8(plain, noise, profile, engine)
        found.append(_Made(name, size, cost.of_model(plain), engine))
    summary = "networks of many forms in INT8, with random weights" if is_last else ""
    progress.finished(stage, {"summary": summary}, time.perf_counter() - begun, False)
    return found


def _lines(found: LatencyModel) -> list[str]:
    told = [
        f"  {found.device} · {len(found.measured)} engines of {len({one.model for one in found.measured})} networks",
        "",
        f"  {'':<22} {'size':>5} {'measured':>10} {'predicted':>10} {'off':>7}",
    ]
    for one, left_out in zip(found.measured, found.left_out_ms):
        off = 100 * (left_out / one.p50_ms - 1)
        told.append(
            f"  {one.model:<22} {one.size:>5} {one.p50_ms:>7.2f} ms {left_out:>7.2f} ms {off:>+5.0f} %"
        )
    told.append(
        f"  each is predicted by a fit without it: {100 * found.error_median:.0f} % off at the median, "
        f"{100 * found.error_worst:.0f} % at worst"
    )
    if found.error_median > ROUGH:
        told.append("  too far off to choose by: time all networks, at both sizes, while nothing else runs")
    return told
