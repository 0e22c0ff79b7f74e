"""``edgetl gate``: candidates against their baselines, one verdict, and files that say how it came to be."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec

from edgetl.baselines import Match, matched
from edgetl.bench import fingerprint, gate, limits, told
from edgetl.bench.comparison import fresh, fresh_profile, of_engine
from edgetl.bench.gate import Draw, Rule, Stored, Trial, Verdict
from edgetl.bench.layers import Profile, agreed_diff
from edgetl.bench.limits import Held, Limits
from edgetl.bundles import Answer
from edgetl.cache import out_of_space
from edgetl.errors import EdgetlError, GateFailed, Inconclusive, InputError, outcome
from edgetl.outputs import refuse_inside_bundle
from edgetl.pipeline import Progress
from edgetl.report import gate_junit, gate_lines, gate_markdown, gate_picture
from edgetl.runtime import Bundle

__all__ = ["FILES", "Profiler", "compare"]


class Profiler(Protocol):
    """Profiles engines."""

    def __call__(self, folder: Path, env: Mapping[str, str] | None) -> Profile:
        """The layers of the engine in a folder by a fresh instance, in a process with these variables."""


SCHEMA = 1
FILES = ("gate.json", "gate.xml", "gate.md", "gate.svg")


def compare(
    candidates: Sequence[Path],
    baselines: Sequence[Path],
    rule: Rule,
    bounds: Limits,
    *,
    out: Path,
    progress: Progress,
    draw: Draw = fresh,
    profile: Profiler = fresh_profile,
    env: Mapping[str, str] | None = None,
) -> Answer:
    """Gate each candidate against the baseline of its place, and write ``FILES``.

    Parameters
    ----------
    candidates : bundles. baselines : bundles, or the ``gate.json`` of earlier gates.
    bounds : hard limits of every candidate.
    out : folder for the files; made before anything is measured, so that a place that cannot be written costs no time.
    draw : as in ``gate.run``. profile : of the layers, where the answer is no.
    env : variables of the processes that time.

    Raises
    ------
    InputError : not one baseline a candidate, no time to measure in, a file that is no measurement, or ``out`` is where
        a baseline or a bundle would be lost.
    BundleError : a byte differs.
    NotComparable : device, shape, threads or, of a stored baseline, host or metric differ.
    EnvironmentLacks : an engine is pending, energy has no source, or the disk refuses.
    """
    if not candidates or len(candidates) != len(baselines):
        raise InputError(
            f"{len(candidates)} candidates and {len(baselines)} baselines: every candidate takes one",
            hint="edgetl gate A B --baseline A0 --baseline B0",
        )
    if not 0 < rule.seconds < math.inf:
        raise InputError(f"--time-budget {rule.seconds:g} s is not a time above 0", hint="--time-budget 5m")
    _refuse_overwriting(baselines, out)
    refuse_inside_bundle(out)
    limits.check(bounds)
    with out_of_space(out):
        out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        matches = [matched(stack, *places, rule.metric) for places in zip(candidates, baselines)]
        rule = msgspec.structs.replace(rule, models=len(matches))
        trials, held = [], []
        for match in matches:
            trial, found = _tried(match, rule, bounds, draw, env, progress)
            trials.append(trial)
            held.append(found)
            if trial.problem is not None and not isinstance(trial.problem, GateFailed):
                break
        verdicts = gate.judge(trials)
        models = [
            _data(match, trial, verdict, found, partial(profile, env=env))
            for match, trial, verdict, found in zip(matches, trials, verdicts, held)
        ]
    return _answered(rule, models, [trial.problem for trial in trials], len(matches), out)


def _refuse_overwriting(baselines: Sequence[Path], out: Path) -> None:
    """A baseline that gives way to each new gate lets a candidate get slower by the tolerance every time."""
    written = (out / FILES[0]).resolve()
    lost = next((place for place in baselines if place.resolve() == written), None)
    if lost is not None:
        raise InputError(
            f"--baseline {lost} would be overwritten: --out {out} gets a {FILES[0]} of its own",
            hint="another --out, or the baseline kept elsewhere",
        )


def _tried(
    match: Match,
    rule: Rule,
    bounds: Limits,
    draw: Draw,
    env: Mapping[str, str] | None,
    progress: Progress,
) -> tuple[Trial, list[Held]]:
    """A trial, and the limits that were measured.

    Of several models what ends one early is kept with it, whenever it does: the others may be whole.

    Raises
    ------
    EdgetlError : it is the only model, and nothing was measured.
    """
    candidate = of_engine(match.candidate.engine_folder)
    baseline = (
        match.baseline if isinstance(match.baseline, Stored) else of_engine(match.baseline.engine_folder)
    )
    try:
        held = limits.measure(bounds, candidate, env)
    except (EdgetlError, OSError, KeyboardInterrupt) as stop:
        if rule.models == 1:
            raise
        return gate.unstarted(baseline, rule, stop), []
    trial = gate.run(candidate, baseline, rule, name=match.name, env=env, progress=progress, draw=draw)
    if rule.models == 1 and trial.problem is not None and not trial.itself and not trial.pairs:
        raise trial.problem
    if bounds.latency is not None and trial.pairs:
        held.insert(0, limits.latency(bounds.latency, trial.latency_ms(gate.CANDIDATE)))
    return trial, held


def _data(
    match: Match,
    trial: Trial,
    verdict: Verdict,
    held: Sequence[Held],
    profile: Callable[[Path], Profile],
) -> dict[str, Any]:
    """One model, as ``gate.json`` holds it."""
    look, baseline = trial.look, match.baseline
    failed = verdict.said == "fail"
    return {
        "name": match.name,
        "candidate": str(match.places[0]),
        "baseline": str(match.places[1]),
        "verdict": verdict.said,
        "sentence": verdict.sentence,
        "ratio": None if look is None else look.ratio,
        "interval": None if look is None else look.interval,
        "p": verdict.p,
        "pairs": len(trial.pairs),
        "ratios": trial.ratios(),
        "looks": msgspec.to_builtins(trial.course.looks),
        "latency_ms": {
            side: trial.latency_ms(side) for side in (gate.CANDIDATE, gate.BASELINE) if trial.instances(side)
        },
        "spread": trial.spread,
        "resolution": trial.resolution,
        "limits": msgspec.to_builtins(held),
        "around": [] if isinstance(baseline, Stored) else _around(match.candidate, baseline),
        "layers": (
            _layers(match.candidate, baseline, profile) if failed and isinstance(baseline, Bundle) else None
        ),
        "partial": None if trial.problem is None else trial.problem.problem,
        "seconds": round(trial.seconds, 3),
        "timed_seconds": round(trial.timed_seconds(), 3),
        "context": msgspec.to_builtins(trial.context),
        "host_doubts": told.host_doubts(*trial.context, trial.shares),
        "measured": msgspec.to_builtins(_kept(match, trial)),
        "baseline_instances": trial.instances(gate.BASELINE),
        "itself": trial.itself,
    }


def _kept(match: Match, trial: Trial) -> Stored:
    engine = match.candidate.engine
    return Stored(
        name=match.name,
        subject=fingerprint.subject_of(match.candidate.manifest.device, engine),
        host=fingerprint.host_of(trial.context[0], engine),
        pace=trial.pace,
        instances=tuple(trial.instances(gate.CANDIDATE)),
    )


def _around(candidate: Bundle, baseline: Bundle) -> list[str]:
    """What else differs between two engines: what they were made with, of and for."""
    mine, other = candidate.engine, baseline.engine
    pairs = {
        "backend": (other.backend, mine.backend),
        "precision": (other.precision, mine.precision),
        "model": (baseline.manifest.model, candidate.manifest.model),
        **_each("option", other.config, mine.config),
        **_each("version", other.built_with, mine.built_with),
    }
    told = [f"{name}: {before} -> {after}" for name, (before, after) in pairs.items() if before != after]
    return told + (["the model file is another one"] if mine.source != other.source else [])


def _each(kind: str, before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    names = sorted({*before, *after})
    return {f"{kind} {name}": (before.get(name, "none"), after.get(name, "none")) for name in names}


def _layers(candidate: Bundle, baseline: Bundle, profile: Callable[[Path], Profile]) -> list[str]:
    """The layers that changed, in words; or why they cannot be told.

    Each engine is profiled twice, in a mirrored turn. Of one engine on both sides none changed.
    """
    if _engine_files(candidate) == _engine_files(baseline):
        return ["both engines are the same bytes: what takes longer is around them"]
    places = baseline.engine_folder, candidate.engine_folder
    try:
        before, after, again, before_again = (profile(place) for place in (*places, *reversed(places)))
    except EdgetlError as error:
        return [f"the layers cannot be told: {error.problem}"]
    told = [change.sentence for change in agreed_diff((before, before_again), (after, again))]
    return told or [
        "no layer differs beyond the scatter of its own profiles: what takes longer is around them"
    ]


def _engine_files(bundle: Bundle) -> dict[str, str]:
    """SHA-256 of the engine's files, its record among them."""
    files = bundle.manifest.files
    return {name: entry.sha256 for name, entry in files.items() if name.startswith("engine/")}


def _answered(
    rule: Rule,
    models: Sequence[dict[str, Any]],
    problems: Sequence[EdgetlError | None],
    asked: int,
    out: Path,
) -> Answer:
    failure = _failure(models, problems)
    said = _said(failure)
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "verdict": said,
        **outcome(failure),
        "rule": msgspec.to_builtins(rule),
        "models": list(models),
        "left_out": asked - len(models),
    }
    lines = gate_lines.lines(data)
    try:
        _write(data, out)
        lines.append(f"  files      {out}: {', '.join(FILES)}")
    except EdgetlError as error:  # what was found is still told
        lines.append(f"  files      not written: {error.problem}")
        failure = failure or error
    return Answer({**data, "out": str(out)}, lines, failure)


def _failure(
    models: Sequence[Mapping[str, Any]], problems: Sequence[EdgetlError | None]
) -> EdgetlError | None:
    """The worst of what was found; what ended a gate early comes first, for the others were not heard."""
    ended = next((one for one in problems if one is not None and not isinstance(one, GateFailed)), None)
    if ended is not None:
        return ended
    for kind, said, verdict, hint in (
        (GateFailed, "fail", "over", "gate.json holds every run; the layers that changed are above"),
        (
            Inconclusive,
            "inconclusive",
            "unproven",
            "a longer --time-budget, a quieter machine, or a wider --tolerance",
        ),
    ):
        found = [f"{one['name']}: {one['sentence']}" for one in models if one["verdict"] == said]
        found += [
            f"{one['name']}: {held['sentence']}"
            for one in models
            for held in one["limits"]
            if held["verdict"] == verdict
        ]
        if found:
            return kind("; ".join(found), hint=hint)
    return None


def _said(failure: EdgetlError | None) -> str:
    if failure is None:
        return "pass"
    if isinstance(failure, GateFailed):
        return "fail"
    return "inconclusive" if isinstance(failure, Inconclusive) else "partial"


def _write(data: Mapping[str, Any], out: Path) -> None:
    """All files or, of each, what was there before."""
    drawn = {
        "gate.json": _readable(data),
        "gate.xml": gate_junit.document(data),
        "gate.md": gate_markdown.page(data),
        "gate.svg": gate_picture.picture(data["models"][0], data["rule"]).file(),
    }
    for place, model in enumerate(data["models"][1:], start=2):
        drawn[f"gate.{place}.svg"] = gate_picture.picture(model, data["rule"]).file()
    with out_of_space(out):
        for name, content in drawn.items():
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", dir=out, suffix=".partial", delete=False
            ) as file:
                partial = Path(file.name)
                try:
                    file.write(content)
                    file.flush()
                    partial.chmod(0o644)
                    partial.replace(out / name)
                finally:
                    partial.unlink(missing_ok=True)


def _readable(data: Mapping[str, Any]) -> str:
    """JSON that git can show: one line for each field of each model."""

    def lines(fields: Mapping[str, Any], indent: str) -> str:
        return ",\n".join(
            f"{indent}{json.dumps(name)}: {json.dumps(value, ensure_ascii=False, allow_nan=False)}"
            for name, value in fields.items()
        )

    head = lines({name: value for name, value in data.items() if name != "models"}, "  ")
    models = ",\n".join("    {\n" + lines(model, "      ") + "\n    }" for model in data["models"])
    return f'{{\n{head},\n  "models": [\n{models}\n  ]\n}}\n'
