"""What ``edgetl bench`` times: the engine of a bundle and a frame through it, or a model compiled now."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgetl.backends import seam
from edgetl.backends.checks import noise
from edgetl.bench import context, harness, told
from edgetl.bench.context import Context
from edgetl.bench.measurement import Measurement
from edgetl.devices import DeviceProfile
from edgetl.errors import InputError
from edgetl.pipeline import Progress
from edgetl.runtime import load
from edgetl.types import Engine, Record

__all__ = ["Pace", "Timed", "of_bundle", "of_model"]

FRAME = (1080, 1920, 3)
"""What a camera gives, and what ``frame`` takes to its result."""


class Pace(Record, frozen=True, kw_only=True):
    """Each figure is measured until so many seconds and so many runs are both reached."""

    seconds: float
    runs: int


@dataclass(frozen=True)
class Timed:
    """One instance of an engine, timed in this process.

    Attributes
    ----------
    before : the host before anything ran. facts : of the session, how its inferences were run.
    measured : by name, ``engine`` and for a bundle ``frame``.
    """

    engine: Engine
    before: Context
    facts: dict[str, str]
    measured: dict[str, Measurement]

    def data(self) -> dict[str, Any]:
        """Everything, raw samples included."""
        engine = self.engine
        return {
            "engine": {
                "backend": engine.backend,
                "device": engine.device,
                "precision": engine.precision,
                "config": engine.config,
            },
            "latency_ms": {name: one.summary() for name, one in self.measured.items()},
            "context": msgspec.to_builtins(self.before),
            "runs": self.facts,
            "doubts": told.doubts(self.measured, self.before),
            "measurements": msgspec.to_builtins(self.measured),
        }

    def title(self) -> str:
        """Which engine, in words."""
        return f"{self.engine.precision} for {self.engine.backend} {self.engine.device}"

    def lines(self) -> list[str]:
        """The percentiles, the host, and why the figures may be doubted."""
        return [
            *told.table(self.measured),
            "",
            *told.context_lines(self.before),
            *(f"  {name:<10} {fact}" for name, fact in self.facts.items()),
            *(f"  doubt      {doubt}" for doubt in told.doubts(self.measured, self.before)),
            "  one instance of the engine: another may be some percent faster or slower for its whole life",
        ]


def of_bundle(place: Path, pace: Pace, progress: Progress) -> Timed:
    """A bundle's engine alone, and a 1080p BGR frame to its label."""
    host = context.read()
    with load(place) as predictor:
        engine = predictor.bundle.engine
        before = msgspec.structs.replace(host, threads=_threads(engine))
        feed = {spec.name: noise(spec) for spec in engine.inputs}
        frame = np.random.default_rng(0).integers(0, 256, FRAME, np.uint8)
        calls: dict[str, Callable[[], object]] = {
            "engine": harness.engine_call(predictor.session, feed),
            "frame": lambda: predictor.predict(frame),
        }
        measured = {name: _time(name, call, before, pace, progress) for name, call in calls.items()}
        return Timed(engine, before, dict(predictor.session.facts), measured)


def of_model(place: Path, profile: DeviceProfile, pace: Pace, progress: Progress) -> Timed:
    """An ONNX file, compiled for a profile, alone.

    Raises
    ------
    InputError : there is no such file. EnvironmentLacks : the profile's device is not here.
    """
    if not place.is_file():
        raise InputError(f"no such model: {place}", hint="an ONNX file or a bundle")
    backend = seam.find(profile.backend)
    asked = "default" if profile.precision == "auto" else profile.precision
    host = context.read()
    with tempfile.TemporaryDirectory() as scratch:
        engine = backend.compile(place, msgspec.structs.replace(profile, precision=asked), Path(scratch))
        before = msgspec.structs.replace(host, threads=_threads(engine))
        session = backend.open(engine, Path(scratch))
        try:
            call = harness.engine_call(session, {spec.name: noise(spec) for spec in engine.inputs})
            measured = {"engine": _time("engine", call, before, pace, progress)}
            return Timed(engine, before, dict(session.facts), measured)
        finally:
            session.close()


def _threads(engine: Engine) -> int | None:
    """Inference threads where they were set: each vendor has its own name for the option."""
    return next((int(value) for key, value in engine.config.items() if "threads" in key.lower()), None)


def _time(
    what: str, call: Callable[[], object], before: Context, pace: Pace, progress: Progress
) -> Measurement:
    progress.started(what)
    measured = harness.measure_call(
        call,
        what,
        min_seconds=pace.seconds,
        min_runs=pace.runs,
        threads=before.threads,
        on_progress=lambda done, total: progress.advanced(what, done, total),
    )
    seconds = sum(measured.samples_ns) / 1e9
    progress.finished(what, {"summary": f"{len(measured.samples_ns)} runs"}, seconds, False)
    return measured
