"""Candidate backbones on one data set: each scored by the stages that a build shares, and timed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgetl import devices, models, pipeline
from edgetl.advise import timing
from edgetl.advise.candidates import Candidate
from edgetl.advise.recommend import Latency
from edgetl.cache import Cache
from edgetl.data import layout
from edgetl.devices import DeviceProfile
from edgetl.errors import EdgetlError, EnvironmentLacks, GateFailed, InputError
from edgetl.pipeline import Artifact, Context, Progress, Silent
from edgetl.stages import backbone, check, features, prepare, score, trial
from edgetl.stages.several import refuse
from edgetl.types import BuildSpec, Reading
from edgetl.words import counted

__all__ = ["Survey", "latencies", "survey"]


@dataclass(frozen=True)
class Survey:
    """Backbones that were scored, with the artifacts of each, and those that were not, with the reason."""

    classes: tuple[str, ...]
    images: int
    entered: Mapping[str, Mapping[str, Artifact]] = field(default_factory=dict)
    skipped: Mapping[str, EdgetlError] = field(default_factory=dict)


def survey(
    candidates: Mapping[str, Candidate],
    source: Path,
    reading: Reading,
    profile: DeviceProfile,
    *,
    runs_on: DeviceProfile,
    compiled: bool,
    download: bool,
    seed: int,
    store: Cache,
    progress: Progress,
) -> Survey:
    """Score every candidate whose weights are at hand.

    Parameters
    ----------
    candidates : by the name that they are shown by. source, reading : the labelled pictures.
    runs_on : profile whose f32 engine computes features, the same that a build takes, which then finds them.
    compiled : engines of the profile run here, and one of each candidate is made to be timed.
    download : fetch weights; else a candidate without them is skipped.

    Raises
    ------
    InputError : the data is not usable.
    """
    root = layout.source_root(source)
    dataset = layout.scan(source, seed=seed, reading=reading)
    refuse(dataset.tasks or (), "edgetl advise")
    checking = check.stage(dataset, root)
    checked = pipeline.run([checking], store, Context(seed=seed, progress=Silent()))["check"]
    found = Survey(tuple(checked.record["classes"]), checked.record["counts"]["train"])
    entered: dict[str, Mapping[str, Artifact]] = {}
    skipped: dict[str, EdgetlError] = {}
    host = devices.host_fingerprint()
    for name, candidate in candidates.items():
        spec = BuildSpec(
            data="", model=candidate.name, weights=candidate.weights, seed=seed, offline=not download
        )
        stages = [
            checking,
            backbone.stage(spec, with_features=True, cast_first=profile.backend == "tensorrt"),
            prepare.stage(root),
            features.stage(runs_on, host),
            score.stage(seed),
            trial.stage(profile, host, len(found.classes), compiled=compiled),
        ]
        stage, begun = f"score:{name}", time.perf_counter()
        progress.started(stage)
        try:
            _refuse_random(candidate)
            entered[name] = pipeline.run(stages, store, Context(seed=seed, progress=_Nested(progress, stage)))
        except (EnvironmentLacks, InputError, GateFailed) as error:
            skipped[name] = _without_weights(candidate, error) if "file" in error.facts else error
        told = counted(len(entered), "backbone") + (f", {len(skipped)} skipped" if skipped else "")
        is_last = len(entered) + len(skipped) == len(candidates)
        progress.finished(stage, {"summary": told if is_last else ""}, time.perf_counter() - begun, False)
    return Survey(found.classes, found.images, entered, skipped)


def _refuse_random(candidate: Candidate) -> None:
    """A network without weights has learned nothing that could carry over."""
    card = models.find(candidate.name)
    comes_with = candidate.name.startswith("timm/") if card is None else bool(card.weights)
    if candidate.weights == "none" or (candidate.weights == "DEFAULT" and not comes_with):
        raise InputError(
            f"{candidate.name} has random weights: nothing is carried over",
            hint=f"--models {candidate.name}=FILE with its weights",
        )


def _without_weights(candidate: Candidate, error: EdgetlError) -> EdgetlError:
    """That weights are not at hand, in words of a command that fetches none unless it is asked to."""
    file = error.facts["file"]
    return EnvironmentLacks(
        f"its weights are not on this host ({file})",
        hint=f"--models {candidate.name}=PATH/{file}, or --download",
        file=file,
    )


def latencies(
    engines: Mapping[str, Path], *, here: bool, seed: int, progress: Progress
) -> dict[str, Latency]:
    """Time the engines of a survey, one line of progress for all.

    Parameters
    ----------
    engines : folders, by name. here : this host is the device that is asked for.
    """
    begun = time.perf_counter()
    progress.started("time")
    told = timing.time_engines(
        engines, here=here, seed=seed, on_progress=lambda done, total: progress.advanced("time", done, total)
    )
    summary = f"INT8 at batch 1, {timing.INSTANCES} fresh instances of each"
    progress.finished("time", {"summary": summary}, time.perf_counter() - begun, False)
    return told


class _Nested(Silent):
    """Stages within one line of progress: what the user should read passes, and the bar moves."""

    def __init__(self, outer: Progress, stage: str) -> None:
        self._outer, self._stage = outer, stage

    def started(self, stage: str) -> None:
        """Say which step of the candidate runs."""
        self._outer.remarked(self._stage, f"{self._stage.partition(':')[2]}: {stage}")

    def advanced(self, stage: str, done: int, total: int) -> None:
        """Move the bar."""
        self._outer.advanced(self._stage, done, total)

    def note(self, message: str) -> None:
        """Pass it on."""
        self._outer.note(message)
