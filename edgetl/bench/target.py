"""What ``edgetl bench`` times: the engine of a bundle and a frame through it, or a model compiled now."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl import stats
from edgetl.backends import seam
from edgetl.backends.checks import noise
from edgetl.backends.seam import Session
from edgetl.bench import context, energy, harness, stages, told
from edgetl.bench.context import Context
from edgetl.bench.energy import Energy
from edgetl.bench.harness import OwnCost, Series
from edgetl.bench.measurement import PERCENTILES, Measurement, percentiles_ms
from edgetl.devices import DeviceProfile
from edgetl.errors import Cancelled, EdgetlError, GateFailed, Inconclusive, InputError, outcome
from edgetl.pipeline import Progress
from edgetl.runtime import Predictor, load
from edgetl.types import Engine, LatencyBudget, Record

__all__ = ["Pace", "Subject", "Timed", "held", "interruption", "opened", "times", "wild_failure"]

FRAME = (1080, 1920, 3)
"""What a camera gives, and what ``frame`` takes to its result."""

Call = Callable[[], object]


class Pace(Record, frozen=True, kw_only=True):
    """Each figure is measured until so many seconds and so many runs are both reached."""

    seconds: float
    runs: int


@dataclass(frozen=True)
class Subject:
    """An opened engine, and for a bundle the way of a frame through it.

    Attributes
    ----------
    host : before anything was opened, with the threads of this engine. cost : the harness's own, on this host.
    predictor : of a bundle.
    """

    engine: Engine
    session: Session
    host: Context
    cost: OwnCost
    predictor: Predictor | None = None

    def feed(self) -> dict[str, npt.NDArray[Any]]:
        """Noise for the engine's inputs."""
        return {spec.name: noise(spec) for spec in self.engine.inputs}

    def frame_call(self) -> Call | None:
        """A 1080p BGR frame to its label; ``None`` where there is no bundle."""
        predictor = self.predictor
        if predictor is None:
            return None
        frame = _frame()
        return lambda: predictor.predict(frame)

    def answer_call(self) -> Call:
        """What an application waits for: a frame to its label, or the engine alone where there is no bundle."""
        return self.frame_call() or harness.engine_call(self.session, self.feed())

    def title(self) -> str:
        """Which engine, in words."""
        return f"{self.engine.precision} for {self.engine.backend} {self.engine.device}"

    def data(self) -> dict[str, Any]:
        """Which engine, on which host, run how."""
        engine = self.engine
        return {
            "engine": {
                "backend": engine.backend,
                "device": engine.device,
                "precision": engine.precision,
                "config": engine.config,
            },
            "context": msgspec.to_builtins(self.host),
            "runs": dict(self.session.facts),
            "harness": {"inside_ns": self.cost.inside_ns, "between_ns": self.cost.between_ns},
        }


@contextmanager
def opened(place: Path, profile: DeviceProfile | None = None) -> Iterator[Subject]:
    """Open a bundle, or compile an ONNX file for a profile and open that.

    Raises
    ------
    InputError : there is no such file. EnvironmentLacks : the profile's device is not here.
    """
    host = context.read()
    if profile is None:
        with load(place) as predictor:
            engine = predictor.bundle.engine
            yield Subject(
                engine, predictor.session, _with_threads(host, engine), harness.own_cost(), predictor
            )
        return
    if not place.is_file():
        raise InputError(f"no such model: {place}", hint="an ONNX file or a bundle")
    backend = seam.find(profile.backend)
    asked = "default" if profile.precision == "auto" else profile.precision
    with tempfile.TemporaryDirectory() as scratch:
        engine = backend.compile(place, msgspec.structs.replace(profile, precision=asked), Path(scratch))
        session = backend.open(engine, Path(scratch))
        try:
            yield Subject(engine, session, _with_threads(host, engine), harness.own_cost())
        finally:
            session.close()


@dataclass(frozen=True)
class Timed:
    """One instance of an engine, timed in this process.

    Attributes
    ----------
    before : the host before anything ran. facts : of the session, how its inferences were run.
    measured : by name, ``engine`` and for a bundle ``frame``. stages : of a frame, by name, in order.
    energy : of the engine alone, ``None`` where nothing measures it. cost : the harness's own.
    failure : why the answer is no or not whole; ``None`` where all is well.
    """

    engine: Engine
    before: Context
    facts: dict[str, str]
    measured: dict[str, Measurement]
    stages: dict[str, Measurement] = field(default_factory=dict)
    energy: Energy | None = None
    cost: OwnCost | None = None
    failure: EdgetlError | None = None

    def data(self) -> dict[str, Any]:
        """Everything, raw samples included."""
        return {
            **outcome(self.failure),
            "latency_ms": {name: one.summary() for name, one in self.measured.items()},
            "stages_ms": {name: one.summary() for name, one in self.stages.items()},
            "energy": msgspec.to_builtins(self.energy),
            "runs": self.facts,
            "doubts": told.doubts(self.measured, self.before),
            "measurements": msgspec.to_builtins({**self.measured, **self.stages}),
        }

    def lines(self) -> list[str]:
        """The percentiles, the host, and why the figures may be doubted."""
        return [
            *told.table(self.measured),
            "",
            *([told.stages_line(self.stages)] if self.stages else []),
            *([told.energy_line(self.energy)] if self.energy is not None else []),
            *told.context_lines(self.before),
            *(f"  {name:<10} {fact}" for name, fact in self.facts.items()),
            *([told.harness_line(self.cost)] if self.cost is not None else []),
            *(f"  doubt      {doubt}" for doubt in told.doubts(self.measured, self.before)),
            "  one instance of the engine: another may be some percent faster or slower for its whole life",
        ]


def times(subject: Subject, pace: Pace, progress: Progress, *, bound: LatencyBudget | None = None) -> Timed:
    """The engine alone and, for a bundle, a 1080p BGR frame to its label, whole and by its stages.

    What was measured when an engine dies or the user interrupts is kept, and marked partial.

    Parameters
    ----------
    bound : of the engine's latency.
    """
    series = {"engine": Series("engine")}
    if subject.predictor is not None:
        series["frame"] = Series("frame")
    whole: dict[str, Measurement] = {}
    parts: dict[str, Measurement] = {}
    power, stopped = None, None
    try:
        whole["engine"] = _timed(subject, series["engine"], pace, progress)
        if subject.predictor is not None:
            whole["frame"] = _timed(subject, series["frame"], pace, progress)
            bundle = subject.predictor.bundle
            parts = stages.measure(
                subject.session, _frame(), bundle.preprocess, bundle.labels, tasks=bundle.tasks
            )
        power = energy.measure(harness.engine_call(subject.session, subject.feed()))
    except (EdgetlError, KeyboardInterrupt) as stop:
        stopped = interruption(stop)
        why = stopped.problem
        kept = {
            name: one.measurement(threads=subject.host.threads, partial=why)
            for name, one in series.items()
            if one.samples and name not in whole
        }
        if not whole and not kept:
            raise
        whole |= kept
    failure = stopped or wild_failure(name for one in whole.values() for name in one.wild)
    return Timed(
        subject.engine,
        subject.host,
        dict(subject.session.facts),
        whole,
        stages=parts,
        energy=power,
        cost=subject.cost,
        failure=failure or held(bound, whole["engine"].samples_ns, "the engine's latency"),
    )


def _timed(subject: Subject, series: Series, pace: Pace, progress: Progress) -> Measurement:
    what = series.what
    progress.started(what)
    options: dict[str, Any] = {
        "min_seconds": pace.seconds,
        "min_runs": pace.runs,
        "threads": subject.host.threads,
        "on_progress": lambda done, total: progress.advanced(what, done, total),
        "series": series,
    }
    frame = subject.frame_call() if what == "frame" else None
    if frame is not None:
        measured = harness.measure_call(frame, what, **options)
    else:
        measured = harness.measure(subject.session, subject.feed(), **options)
    seconds = sum(measured.samples_ns) / 1e9
    progress.finished(what, {"summary": f"{len(measured.samples_ns)} runs"}, seconds, False)
    return measured


def interruption(stop: BaseException) -> EdgetlError:
    """What ended a measurement, for whoever reads what was kept of it; anything but these two is a bug, and raised."""
    if isinstance(stop, EdgetlError):
        return stop
    if not isinstance(stop, KeyboardInterrupt):
        raise stop
    return Cancelled("interrupted", hint="what was measured until then is above, marked partial")


def wild_failure(outputs: Iterable[str]) -> GateFailed | None:
    """The answer where an engine's outputs are no numbers; ``None`` where there are no such outputs."""
    names = sorted(set(outputs))
    if not names:
        return None
    return GateFailed(
        f"the engine answers NaN or infinity in {', '.join(names)}",
        hint="edgetl verify BUNDLE",
        outputs=names,
    )


def held(bound: LatencyBudget | None, samples_ns: tuple[int, ...], what: str) -> EdgetlError | None:
    """Why a bound is not kept, or cannot be judged by so few runs; ``None`` where it is kept or there is none."""
    if bound is None:
        return None
    found = percentiles_ms(samples_ns)[bound.at]
    if found is None:
        needed = stats.percentile_support(PERCENTILES[bound.at])
        return Inconclusive(
            f"{len(samples_ns)} runs cannot judge {bound.at}: it takes {needed}",
            hint=f"--iterations {needed}",
        )
    if found > bound.ms:
        return GateFailed(
            f"{what} is {found:.3f} ms at {bound.at}, the bound {bound.ms:g} ms",
            hint="edgetl build --max-latency   looks for a faster engine",
            found_ms=found,
            bound_ms=bound.ms,
        )
    return None


def _frame() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, FRAME, np.uint8)


def _with_threads(host: Context, engine: Engine) -> Context:
    """Inference threads where they were set: each vendor has its own name for the option."""
    threads = next((int(value) for key, value in engine.config.items() if "threads" in key.lower()), None)
    return msgspec.structs.replace(host, threads=threads)
