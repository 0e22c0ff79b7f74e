"""``edgetl advise``: which backbone is worth training on these pictures for this device."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgetl import asked, devices, sources, target
from edgetl.advise import candidates as entrants
from edgetl.advise import latency_model
from edgetl.advise.cost import Cost
from edgetl.advise.latency_model import LatencyModel
from edgetl.advise.recommend import Choice, Latency, Scored, recommend, score
from edgetl.bundles import Answer
from edgetl.cache import Cache, write_whole
from edgetl.devices import DeviceProfile
from edgetl.errors import EnvironmentLacks, GateFailed, InputError
from edgetl.pipeline import Progress
from edgetl.report import advice_lines
from edgetl.report.pictures_pareto import Point, front, tradeoff
from edgetl.stages import score as scoring
from edgetl.stages import trial
from edgetl.surveying import Survey, latencies, survey
from edgetl.types import USUAL, LatencyBudget, Reading, Record

__all__ = ["Question", "advise", "model_file", "runs_here"]


UNDRAWN = "it takes a latency and a probe of every backbone"


class Question(Record, frozen=True, kw_only=True):
    """What is asked.

    Attributes
    ----------
    data, reading : the labelled pictures, and how they are read.
    device, devices_file : the profile to run on.
    backbones : ``NAME`` or ``NAME=FILE``; empty are the usual ones.
    max_latency : of one inference, at the median. latency_model : a file of ``edgetl profile-device``.
    download : fetch weights that are not at hand.
    """

    data: str
    reading: Reading = USUAL
    device: str = "local"
    devices_file: Path | None = None
    backbones: tuple[str, ...] = ()
    max_latency: LatencyBudget | None = None
    latency_model: Path | None = None
    download: bool = False
    seed: int = 0


def advise(question: Question, *, picture: Path | None, cache: Path, progress: Progress) -> Answer:
    """Score candidate backbones on the train role and put INT8 latency beside the scores.

    Parameters
    ----------
    picture : SVG file for accuracy against latency, or ``None``.

    Raises
    ------
    InputError : data, device, a backbone or the latency model is not usable.
    EnvironmentLacks : no backbone's weights are at hand.
    """
    asked.svg(picture, "--picture")
    limit = _limit(question.max_latency)
    profile = devices.load(question.devices_file).find(question.device)
    _refuse_float(profile)
    entering = entrants.called(entrants.named(question.backbones))
    fitted = _fitted(question, profile, cache)
    runs_on = _runs_on(profile)
    timed = fitted is None and runs_on == profile
    progress.planned([*(f"score:{name}" for name in entering), *(["time"] if timed else [])])
    found = survey(
        entering,
        sources.data_place(question.data, cache),
        question.reading,
        profile,
        runs_on=runs_on,
        compiled=timed,
        download=question.download,
        seed=question.seed,
        store=Cache(cache),
        progress=progress,
    )
    if not found.entered:
        name, why = next(iter(found.skipped.items()))
        kind = InputError if isinstance(why, InputError) else EnvironmentLacks
        raise kind(
            f"no backbone can be scored, {len(found.skipped)} skipped: {name}: {why.problem}",
            hint=why.hint or "--models NAME=FILE gives weights",
        )
    times = _times(found, fitted, profile, question.seed, progress) if fitted is not None or timed else {}
    scored = [_scored(found, name, entering[name].options, times) for name in found.entered]
    scores = score(scored)
    scored.sort(key=lambda one: scores[one.name], reverse=True)
    right = {name: np.load(made["score"].path / scoring.RIGHT) for name, made in found.entered.items()}
    choice = recommend(scored, right, max_ms=limit)
    data = _data(question, profile, found, scored, choice)
    if picture is not None and all(one.latency and one.probe_ci95 for one in scored):
        write_whole(picture, _drawn(scored, choice, data["title"], limit).encode())
        data["picture"] = str(picture)
    elif picture is not None:
        data["note"] = "; ".join(filter(None, [data["note"], f"{picture} is not drawn: {UNDRAWN}"]))
    failure = _failure(scored, choice, limit, profile.name)
    data["failure"] = None if failure is None else failure.as_data()
    return Answer(data, advice_lines.lines(data), failure)


def model_file(device: str, cache: Path) -> Path:
    """Where the latency model of a device is kept."""
    return cache / "latency-models" / f"{device}.json"


def runs_here(profile: DeviceProfile) -> bool:
    """Whether an engine of the profile runs on this host, be it the device or stand in its place."""
    return _runs_on(profile) == profile


def _runs_on(profile: DeviceProfile) -> DeviceProfile:
    """The profile itself where its engines run here; else what a build compiles here in its place, or this host's."""
    try:
        return target.where_it_runs(profile)[0]
    except EnvironmentLacks:
        return devices.load().find("local")


def _limit(budget: LatencyBudget | None) -> float | None:
    if budget is not None and budget.at != "p50":
        raise InputError(
            f"--max-latency {budget.ms:g}ms@{budget.at}: advise times the median only",
            hint=f"--max-latency {budget.ms:g}ms; edgetl build holds the {budget.at}",
        )
    return None if budget is None else budget.ms


def _refuse_float(profile: DeviceProfile) -> None:
    if profile.scheme == "none":
        raise InputError(
            f"{profile.name} has no INT8, whose latency advise compares",
            hint="edgetl devices   lists the profiles",
        )


def _fitted(question: Question, profile: DeviceProfile, cache: Path) -> LatencyModel | None:
    """The latency model to predict with: the one that was named, or that of a device that this host is not."""
    kept = question.latency_model or model_file(profile.name, cache)
    if question.latency_model is None and (not kept.is_file() or devices.host_is(profile)):
        return None
    found = latency_model.read(kept)
    if found.device != profile.name:
        raise InputError(
            f"{kept} is of {found.device}, not of {profile.name}", hint=f"--device {found.device}"
        )
    return found


def _times(
    found: Survey, fitted: LatencyModel | None, profile: DeviceProfile, seed: int, progress: Progress
) -> dict[str, Latency]:
    if fitted is None:
        engines = {name: made["trial"].path / trial.ENGINE for name, made in found.entered.items()}
        return latencies(engines, here=devices.host_is(profile), seed=seed, progress=progress)
    return {
        name: Latency(
            p50_ms=fitted.predict(msgspec.convert(made["trial"].record["cost"], Cost)),
            kind="predicted",
            error=fitted.error_median,
        )
        for name, made in found.entered.items()
    }


def _scored(found: Survey, name: str, options: str, times: Mapping[str, Latency]) -> Scored:
    made = found.entered[name]
    told = made["score"].record
    return Scored(
        name=name,
        options=options,
        size=made["backbone"].record["preprocess"]["width"],
        probe=told["probe"],
        probe_ci95=None if told["probe_ci95"] is None else tuple(told["probe_ci95"]),
        log_likelihood=told["log_likelihood"],
        logme=told["logme"],
        nleep=told["nleep"],
        latency=times.get(name),
    )


def _data(
    question: Question, profile: DeviceProfile, found: Survey, scored: Sequence[Scored], choice: Choice | None
) -> dict[str, Any]:
    taken = None if choice is None else next(one for one in scored if one.name == choice.name)
    budget = "" if question.max_latency is None else f" --max-latency {question.max_latency.ms:g}ms"
    # with another seed the roles are others, and pictures that the probes learned from would be tested on
    seed = f" --seed {question.seed}" if question.seed else ""
    devices_file = (
        "" if question.devices_file is None else f" --devices {shlex.quote(str(question.devices_file))}"
    )
    command = (
        None
        if taken is None
        else f"edgetl build --device {profile.name}{devices_file} --data {shlex.quote(question.data)}"
        f"{question.reading.as_options()} {taken.options}{budget}{seed}"
    )
    on_front, scores = _front(scored), score(scored)
    images = f"{found.images} pictures to train on, {len(found.classes)} classes"
    return {
        "title": f"{question.data}: {images} · {profile.name}",
        "device": profile.name,
        "data": question.data,
        "max_latency_ms": None if question.max_latency is None else question.max_latency.ms,
        "backbones": [
            {**msgspec.to_builtins(one), "score": scores[one.name], "front": one.name in on_front}
            for one in scored
        ],
        "skipped": [
            {
                "name": name,
                "reason": error.problem,
                "mend": error.hint,
                "file": error.facts.get("file"),
            }
            for name, error in found.skipped.items()
        ],
        "recommended": None if choice is None else choice.name,
        "reason": None if choice is None else choice.reason,
        "note": _note(profile, scored),
        "command": command,
        "picture": None,
    }


def _note(profile: DeviceProfile, scored: Sequence[Scored]) -> str:
    """What the latencies are, where they are not the device's own."""
    kinds = {one.latency.kind for one in scored if one.latency}
    how = f"edgetl profile-device --device {profile.name} --out FILE on it; then --latency-model FILE here"
    if not kinds:
        return f"no latency: its engines do not run here. {how}"
    if "host" in kinds:
        return f"latency is this host's, which is not {profile.name}. {how}"
    errors = [one.latency.error for one in scored if one.latency and one.latency.error is not None]
    if errors:
        return f"latency is predicted: networks that were left out of the fit were {100 * errors[0]:.0f} % off (median)"
    return ""


def _points(scored: Sequence[Scored], shipped: str = "") -> list[Point]:
    return [
        Point(one.name, one.latency.p50_ms, one.probe, one.probe_ci95, 0, one.name == shipped)
        for one in scored
        if one.latency is not None and one.probe is not None and one.probe_ci95 is not None
    ]


def _front(scored: Sequence[Scored]) -> set[str]:
    """Names of those that none beats in both."""
    return {point.name for point in front(_points(scored))}


def _drawn(scored: Sequence[Scored], choice: Choice | None, title: str, limit: float | None) -> str:
    points = _points(scored, "" if choice is None else choice.name)
    kinds = {one.latency.kind for one in scored if one.latency}
    how = "predicted" if "predicted" in kinds else "measured"
    filled = "" if choice is None else " Filled: recommended."
    nothing = "None keeps" if any(one.of_device for one in scored) else "None is known to keep"
    return tradeoff(
        points,
        ["linear probe"],
        f"{title}. Cross-validated accuracy of a linear probe on frozen features with its 95 % interval, against {how} "
        f"INT8 latency.{filled}",
        measure="linear probe, %",
        title=choice.finding if choice is not None else f"{nothing} {limit:g} ms",
        limit_ms=limit,
    ).file()


def _failure(
    scored: Sequence[Scored], choice: Choice | None, limit: float | None, device: str
) -> GateFailed | None:
    if choice is not None or limit is None:
        return None
    known = [(one.of_device.p50_ms, one.name) for one in scored if one.of_device is not None]
    if not known:
        return GateFailed(
            f"no latency of {device} is known, so none can keep {limit:g} ms",
            hint="--latency-model FILE, or without --max-latency",
        )
    fastest_ms, fastest = min(known)
    return GateFailed(
        f"no backbone keeps {limit:g} ms: the fastest is {fastest} with {fastest_ms:.2f} ms",
        hint="smaller backbones by --models, or a larger --max-latency",
    )
