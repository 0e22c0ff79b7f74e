"""What can be asked of a finished bundle: time it, look inside."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy.typing as npt

from edgetl import devices
from edgetl.backends import seam
from edgetl.bench import loads, target
from edgetl.candidate import CANDIDATES
from edgetl.devices import DeviceProfile
from edgetl.errors import EdgetlError, InputError, did_you_mean
from edgetl.pipeline import Progress
from edgetl.report import contents
from edgetl.runtime import Bundle, archive, open_bundle
from edgetl.stages.explain import int8_share
from edgetl.types import LatencyBudget, LayerInfo

__all__ = ["Answer", "bench", "inspect", "opened", "profile_of"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Answer:
    """What a command found: for ``--json``, for the terminal, and why the answer is no (``None`` where it is yes)."""

    data: Mapping[str, Any]
    lines: list[str] = field(default_factory=list)
    failure: EdgetlError | None = None


def bench(
    place: Path,
    *,
    device: str | None,
    devices_file: Path | None,
    seconds: float,
    runs: int,
    progress: Progress,
    scenario: str | None = None,
    streams: int | None = None,
    fps: float | None = None,
    soak: float | None = None,
    bound: LatencyBudget | None = None,
) -> Answer:
    """Time an engine; one instance, in this process.

    Alone and, for a bundle, a 1080p frame to its result; or under the load of a scenario; or for a long time.

    Parameters
    ----------
    place : a bundle, or an ONNX file, which is compiled for ``device`` (``local`` where it is ``None``).
    seconds, runs : each figure is measured until both are reached.
    scenario : one of ``loads.SCENARIOS``; ``streams`` and ``fps`` are its own (``loads.Asked``).
    soak : seconds to run it for, watching.
    bound : latency that it must keep, else the answer is no.

    Raises
    ------
    InputError : it is neither, or the options do not fit. EnvironmentLacks : it has no engine, or its device is not
        here.
    """
    asked = loads.Asked(
        seconds=seconds, runs=runs, scenario=scenario, streams=streams, fps=fps, soak_s=soak, bound=bound
    )
    loads.check(asked)
    profile = None
    if place.suffix == ".onnx":
        profile = devices.load(devices_file).find(device or "local")
    elif device is not None:
        raise InputError("a bundle brings the engine of its own device", hint="--device is for a MODEL.onnx")
    with target.opened(place, profile) as subject:
        found = loads.run(subject, asked, progress)
        data = {"target": str(place), **subject.data(), **found.data()}
        return Answer(data, [f"  {place} · {subject.title()}", "", *found.lines()], found.failure)


@contextmanager
def opened(place: Path) -> Iterator[Bundle]:
    """A bundle, also one that is a single file; it is gone afterwards."""
    if not place.is_file():
        yield open_bundle(place)
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield open_bundle(archive.unpack(place, Path(scratch) / "bundle"))


def inspect(place: Path, *, precision: str | None, every_layer: bool) -> Answer:
    """What a bundle holds, and what its engine executes on this host.

    Raises
    ------
    BundleError : a byte differs. InputError : the bundle has no such candidate.
    """
    with opened(place) as bundle:
        manifest = bundle.manifest
        data: dict[str, Any] = {
            "manifest": msgspec.to_builtins(manifest),
            "labels": list(bundle.labels),
            **({"tasks": msgspec.to_builtins(bundle.tasks)} if bundle.tasks else {}),
            "preprocess": msgspec.to_builtins(bundle.preprocess),
        }
        lines = contents.lines(bundle)
        if manifest.pending is not None:
            steps = [f"             {step}" for step in manifest.pending.next]
            return Answer(data, [*lines, f"  engine     pending: {manifest.pending.reason}", *steps])
        layers, shown = _executed(bundle, precision)
        share = int8_share(layers)
        data["executed"] = {"precision": shown, **share, "layers": msgspec.to_builtins(layers)}
        told = contents.layer_lines(layers, shown, reorders=share["reorders"], every_layer=every_layer)
        return Answer(data, [*lines, *told])


def _executed(bundle: Bundle, precision: str | None) -> tuple[list[LayerInfo], str]:
    """The layers of the shipped engine, or of another candidate compiled from the bundle's models now."""
    engine = bundle.engine
    backend = seam.find(engine.backend)
    if precision is None or precision == engine.precision:
        return backend.explain(engine, bundle.engine_folder), engine.precision
    if precision not in CANDIDATES:
        raise InputError(
            f"--precision {precision!r} is not a candidate.{did_you_mean(precision, CANDIDATES)}",
            hint=", ".join(CANDIDATES),
        )
    source = "model.int8.onnx" if precision == "int8" else "model.fp32.onnx"
    if source not in bundle.manifest.files:
        raise InputError(f"the bundle has no {source}", hint="it was built for a device without INT8")
    with tempfile.TemporaryDirectory() as scratch:
        made = backend.compile(bundle.folder / source, profile_of(bundle, precision), Path(scratch))
        return backend.explain(made, Path(scratch)), precision


def profile_of(bundle: Bundle, precision: str) -> DeviceProfile:
    """The device that a bundle was built for, as far as its engine tells, in another precision."""
    engine = bundle.engine
    return DeviceProfile(
        name=bundle.manifest.device, backend=engine.backend, device=engine.device, precision=precision
    )
