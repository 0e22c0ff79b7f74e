"""Which measurement ``edgetl bench`` was asked for, and its answer: times, a scenario, or a soak."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec

from edgetl.bench import activity, context, harness, target, told
from edgetl.bench import soak as soaks
from edgetl.bench.activity import Shares
from edgetl.bench.context import Context
from edgetl.bench.scenarios import camera, loadgen
from edgetl.bench.scenarios.camera import Camera, Film
from edgetl.bench.scenarios.driven import Driven, Load
from edgetl.bench.scenarios.driven import Scenario as LoadGenScenario
from edgetl.bench.slow import LEAST_SECONDS
from edgetl.bench.soak import Soak
from edgetl.bench.target import Pace, Subject, Timed
from edgetl.errors import EdgetlError, GateFailed, Inconclusive, InputError, did_you_mean, outcome
from edgetl.pipeline import Progress
from edgetl.types import LatencyBudget, Record
from edgetl.words import counted

__all__ = ["SCENARIOS", "Asked", "Loaded", "Soaked", "check", "run"]

Scenario = Literal["single-stream", "multi-stream", "server", "offline", "camera"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)
CAMERA_FPS = 30.0
LEAST_SOAK = 2 * LEAST_SECONDS
"""Seconds; of fewer ``slow.periods`` finds none, whatever they are like."""
MOST_SLOW = 10
"""Complaints and disturbed periods that are shown; how many were left out is said."""


class Asked(Record, frozen=True, kw_only=True):
    """What to measure.

    Attributes
    ----------
    seconds, runs : least time and least runs of each figure. scenario : ``None`` for times alone.
    streams : cameras, or samples a query of ``multi-stream``.
    fps : frames a second of each camera, or arrivals a second of ``server``.
    soak_s : seconds of a soak; ``None`` for none. bound : latency to keep.
    """

    seconds: float
    runs: int
    scenario: str | None = None
    streams: int | None = None
    fps: float | None = None
    soak_s: float | None = None
    bound: LatencyBudget | None = None


def check(asked: Asked) -> None:
    """Refuse what cannot be measured together, before an engine is opened.

    Raises
    ------
    InputError : names the option and what it takes.
    """
    scenario = asked.scenario
    if scenario is not None and scenario not in SCENARIOS:
        raise InputError(
            f"--scenario {scenario!r} is not known.{did_you_mean(scenario, SCENARIOS)}",
            hint=f"one of {', '.join(SCENARIOS)}",
        )
    if asked.soak_s is not None and scenario is not None:
        raise InputError("--soak and --scenario are two measurements", hint="one after the other")
    if asked.soak_s is not None and not 0 < asked.soak_s < math.inf:
        raise InputError(f"--soak {asked.soak_s:g} s is not a time above 0", hint="--soak 30m")
    if not 0 <= asked.seconds < math.inf:
        raise InputError(f"--duration {asked.seconds} is not a time in seconds", hint="--duration 3")
    for option, given, takes, usual in (
        ("--streams", asked.streams, ("camera", "multi-stream"), 1),
        ("--fps", asked.fps, ("camera", "server"), CAMERA_FPS),
    ):
        if given is not None and scenario not in takes:
            raise InputError(
                f"{option} is for --scenario {' or '.join(takes)}", hint=f"--scenario {takes[0]}"
            )
        if given is not None and not 0 < given < math.inf:
            raise InputError(f"{option} {given:g} is not above 0", hint=f"{option} {usual:g}")


@dataclass(frozen=True)
class Loaded:
    """An engine under the load of a scenario; ``after`` is the host behind it."""

    subject: Subject
    after: Context
    shares: Shares | None
    found: Camera | Driven
    failure: EdgetlError | None

    def data(self) -> dict[str, Any]:
        """Everything, raw samples included."""
        return {
            **outcome(self.failure),
            **self.found.summary(),
            "scenario": _name(self.found),
            "partial": self.found.partial,
            "context_after": msgspec.to_builtins(self.after),
            "shares": msgspec.to_builtins(self.shares),
            "doubts": self.doubts(),
            "measurement": msgspec.to_builtins(self.found),
        }

    def lines(self) -> list[str]:
        """What came of it, and the host."""
        partial = [f"  partial    {self.found.partial}"] if self.found.partial else []
        return [
            *self.found.lines(),
            *partial,
            *told.context_lines(self.subject.host),
            told.harness_line(self.subject.cost),
            *(f"  doubt      {doubt}" for doubt in self.doubts()),
        ]

    def doubts(self) -> list[str]:
        """Why the figures may not be the engine's own."""
        return told.host_doubts(self.subject.host, self.after, self.shares)


@dataclass(frozen=True)
class Soaked:
    """An engine under load for a long time."""

    subject: Subject
    found: Soak
    failure: EdgetlError | None

    def data(self) -> dict[str, Any]:
        """Everything: a row a second and a row a minute."""
        found = self.found
        return {
            "verdict": self.verdict(),
            **outcome(self.failure),
            "complaints": found.complaints(),
            "slow": msgspec.to_builtins(found.slow()),
            "disturbed": msgspec.to_builtins(found.disturbed()),
            "growth_mib": found.growth_mib(),
            "minutes": msgspec.to_builtins(found.minutes),
            "partial": found.partial,
            "measurement": msgspec.to_builtins(found),
        }

    def lines(self) -> list[str]:
        """Minutes, and the verdict with its reasons."""
        found = self.found
        against = self.against()
        rows = [f"  {'minute':<8} {'p50':>10} {'p90':>10} {'p99':>10} {'worst':>10} {'memory':>10} {'':>6}"]
        for place, minute in enumerate(found.minutes):
            ms = [minute.latency_ms["p50"], minute.latency_ms["p90"], minute.latency_ms["p99"], minute.max_ms]
            cells = " ".join(f"{'n/a' if one is None else f'{one:.3f} ms':>10}" for one in ms)
            memory = "" if minute.rss_mib is None else f"{minute.rss_mib:.0f} MiB"
            heat = "" if minute.temperature_c is None else f"{minute.temperature_c:.0f} C"
            rows.append(f"  {place + 1:<8} {cells} {memory:>10} {heat:>6}".rstrip())
        return [
            *rows,
            "",
            f"  soak       {found.lasted_s():.0f} s, {_memory(found)}: {self._said(len(against))}",
            *_some("against", against),
            *_some("disturbed", [period.sentence() for period in found.disturbed()]),
            *told.context_lines(self.subject.host),
            told.harness_line(self.subject.cost),
        ]

    def verdict(self) -> Literal["pass", "fail", "inconclusive", "partial"]:
        """What the exit code says, in a word."""
        if self.found.partial:
            return "partial"
        if self.failure is None:
            return "pass"
        return "inconclusive" if isinstance(self.failure, Inconclusive) else "fail"

    def against(self) -> list[str]:
        """Every reason against it; a bound that was not kept is one."""
        complaints = self.found.complaints()
        if complaints or not isinstance(self.failure, GateFailed):
            return complaints
        return [self.failure.problem]

    def _said(self, reasons: int) -> str:
        """The verdict in words."""
        if self.found.partial:
            return f"partial, {self.found.partial}: {self.found.lasted_s():.0f} s were kept"
        if self.failure is None:
            return "it holds out"
        if isinstance(self.failure, Inconclusive):
            return f"inconclusive, {self.failure.problem}"
        return f"{counted(reasons, 'reason')} against it"


def _memory(found: Soak) -> str:
    growth = found.growth_mib()
    if growth is not None:
        return f"memory +{growth:.1f} MiB in the second half"
    known = all(one.rss_mib is not None for one in found.seconds)
    return "too short to judge memory" if known else "memory unknown"


def _some(label: str, sentences: Sequence[str]) -> list[str]:
    """The first of them, and how many more there are."""
    shown = [f"  {label:<10} {sentence}" for sentence in sentences[:MOST_SLOW]]
    return [*shown, f"{'':<13}and {len(sentences) - MOST_SLOW} more"] if sentences[MOST_SLOW:] else shown


def run(subject: Subject, asked: Asked, progress: Progress) -> Timed | Loaded | Soaked:
    """Measure what was asked for.

    Raises
    ------
    EdgetlError : the engine failed before anything was measured.
    """
    if asked.soak_s is not None:
        return _soak(subject, asked, asked.soak_s, progress)
    if asked.scenario is None:
        pace = Pace(seconds=asked.seconds, runs=asked.runs)
        return target.times(subject, pace, progress, bound=asked.bound)
    progress.started(asked.scenario)
    began = activity.read()
    found = _film(subject, asked, progress) if asked.scenario == "camera" else _drive(subject, asked)
    loaded = found[0]
    failure = found[1] or target.wild_failure(loaded.wild)
    if failure is None and isinstance(loaded, Driven):
        failure = _word_of(loaded)
    elif failure is None and isinstance(loaded, Camera):
        failure = target.held(asked.bound, loaded.latency_ns, "from arrival to answer it")
    shares = activity.between(began, activity.read())
    return Loaded(subject, context.read(threads=subject.host.threads), shares, loaded, failure)


def _film(subject: Subject, asked: Asked, progress: Progress) -> tuple[Camera, EdgetlError | None]:
    fps, streams = asked.fps or CAMERA_FPS, asked.streams or 1
    film = Film(fps, streams)
    try:
        found = camera.play(
            subject.answer_call(),
            fps=fps,
            streams=streams,
            seconds=max(asked.seconds, asked.runs / fps / streams),
            film=film,
            on_progress=lambda done, total: progress.advanced("camera", done, total),
        )
    except (EdgetlError, KeyboardInterrupt) as stop:
        if not film.latency:
            raise
        failure = target.interruption(stop)
        return film.camera(failure.problem), failure
    progress.finished("camera", {"summary": f"{len(found.latency_ns)} frames"}, found.seconds, False)
    return found, None


def _drive(subject: Subject, asked: Asked) -> tuple[Driven, EdgetlError | None]:
    load = Load(
        scenario=msgspec.convert(asked.scenario, LoadGenScenario),
        seconds=asked.seconds,
        runs=asked.runs,
        streams=asked.streams or 1,
        qps=asked.fps,
        bound=asked.bound,
    )
    found, stopped = loadgen.drive(subject.session, subject.feed(), load)
    return found, None if stopped is None else target.interruption(stopped)


def _word_of(found: Driven) -> EdgetlError | None:
    """LoadGen's own verdict as ours: a bound that was not kept is a no, a run that it calls invalid says nothing."""
    bound = found.load.bound
    if not found.met and bound is not None:
        late = found.loadgen_ms()[bound.at]
        return GateFailed(
            f"LoadGen: queries took {late:.3f} ms at {bound.at} from their arrival, the bound is {bound.ms:g} ms"
            if late is not None
            else f"LoadGen: the bound of {bound.ms:g} ms at {bound.at} was not kept",
            hint="a lower --fps, or a faster engine",
        )
    if not found.valid:
        return Inconclusive(f"LoadGen calls the run invalid: {found.reasons}", hint="a longer --duration")
    if bound is None or found.load.scenario == "server":
        return None
    return target.held(bound, found.samples_ns, "an inference")


def _soak(subject: Subject, asked: Asked, seconds: float, progress: Progress) -> Soaked:
    log = soaks.Log()
    progress.started("soak")
    once: Callable[[], object] = harness.engine_call(subject.session, subject.feed())
    failure: EdgetlError | None = None
    try:
        found = soaks.soak(
            once,
            seconds=seconds,
            log=log,
            on_progress=lambda done, total: progress.advanced("soak", done, total),
        )
    except (EdgetlError, KeyboardInterrupt) as stop:
        if not len(log):
            raise
        failure = target.interruption(stop)
        found = log.soak(failure.problem)
    progress.finished(
        "soak",
        {"summary": counted(len(found.minutes), "minute")},
        float(len(found.seconds)),
        False,
    )
    complaints = found.complaints()
    if failure is None and complaints:
        failure = GateFailed(complaints[0], hint="--json has every second", complaints=complaints)
    if failure is None and asked.bound is not None:
        failure = _minutes_kept(found, asked.bound)
    if failure is None and len(found.seconds) < LEAST_SOAK:
        failure = Inconclusive(
            f"{len(found.seconds)} s are too short to judge: it takes {LEAST_SOAK}", hint="--soak 30m"
        )
    return Soaked(subject, found, failure)


def _minutes_kept(found: Soak, bound: LatencyBudget) -> EdgetlError | None:
    """A bound holds in every minute that has the runs to judge it."""
    judged = [(k, ms) for k, one in enumerate(found.minutes) if (ms := one.latency_ms[bound.at]) is not None]
    if not judged:
        return Inconclusive(
            f"no minute has the runs that {bound.at} takes", hint="a bound of p50, or a longer --soak"
        )
    worst, ms = max(judged, key=lambda pair: pair[1])
    if ms <= bound.ms:
        return None
    return GateFailed(
        f"minute {worst + 1} is {ms:.3f} ms at {bound.at}, the bound {bound.ms:g} ms",
        hint="--json has every second",
    )


def _name(found: Camera | Driven) -> str:
    return "camera" if isinstance(found, Camera) else found.load.scenario
