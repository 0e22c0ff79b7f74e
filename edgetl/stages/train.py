"""train: the backbone learns the user's classes; a checkpoint comes out."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl import digest, isolate
from edgetl.data.balances import Balances, of_answers
from edgetl.data.imbalance import Balance, decide
from edgetl.errors import EnvironmentLacks
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.processes import Processes
from edgetl.stages import backbone, prepare, together, train_tasks
from edgetl.stages.check import DATASET, groups_of
from edgetl.stages.together import MALLOC
from edgetl.transfer.methods.known import METHODS
from edgetl.transfer.policy import policy_for
from edgetl.types import BuildSpec, Preprocess
from edgetl.words import counted

__all__ = [
    "TRAINED_FROM",
    "Setting",
    "balance_of",
    "fast_path_stage",
    "feature_stage",
    "made_up",
    "options_of",
    "selected",
    "train_in_child",
    "trained_stage",
]

TRAINED_FROM = ("check", "backbone", "prepare", "fastpath")
"""Stages that every training reads."""

PARITY_SAMPLES = 8
"""Pictures that travel with a checkpoint so that an export can prove itself."""


@dataclass(frozen=True)
class Setting:
    """Where a training runs.

    Attributes
    ----------
    root : where the pictures are: augmentation crops from the originals.
    scratch : where a killed training finds its last epoch again.
    host : what this machine is. threads : of it; they change the bits, so those of a training are part of the key.
    processes : where several train together, which then share the threads; their number is part of the key, too.
    """

    root: Path
    scratch: Path
    host: Mapping[str, str]
    threads: int
    processes: Processes | None = None


def feature_stage(spec: BuildSpec, name: str = "train") -> Stage:
    """Fit a linear head on the features of the train role; ``name`` is another one where it is not all of a method."""

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        from edgetl.transfer import checkpoint
        from edgetl.transfer.backbone import create
        from edgetl.transfer.methods import feature

        if prepare.tasks_of(inputs["prepare"]):
            return train_tasks.fit(spec, inputs, _record(spec, inputs, "feature"), _samples(inputs), out)
        classes = inputs["check"].record["classes"]
        train = np.load(inputs["features"].path / "train.npy")
        targets = prepare.labels(inputs["prepare"], "train")
        groups = groups_of(inputs["check"], "train")
        balance = decide(spec.imbalance, np.bincount(targets).tolist())
        head = feature.fit_head(
            train, targets, len(classes), spec.seed, groups=groups, weights=balance.weights
        )
        held = np.load(inputs["features"].path / "select.npy")
        select = prepare.labels(inputs["prepare"], "select")
        right = (held @ head.weight.T + head.bias).argmax(axis=1) == select
        accuracy = float(right.mean()) if len(right) else None
        net = create(spec, len(classes), ctx.progress.note).net
        checkpoint.set_head(net, head.weight, head.bias)
        record = _record(spec, inputs, "feature")
        record = msgspec.structs.replace(
            record,
            history=[{"select_accuracy": accuracy, "cv_accuracy": head.scores}],
            choices={"C": head.strength, "scale": head.scale, "imbalance": msgspec.to_builtins(balance)},
        )
        checkpoint.save(net, record, _samples(inputs), out)
        np.savez(out / checkpoint.HEAD, weight=head.weight, bias=head.bias)
        a_class = len(targets) // len(classes)
        said = "n/a" if accuracy is None else f"{100 * accuracy:.1f} %"
        return {
            "summary": f"{spec.model}, feature method, about {a_class} labels a class{balance.said()} · select {said}",
            "select_accuracy": accuracy,
            "select_score": _score(right, select, balance),
            "cv_accuracy": max(head.scores.values(), default=None),
            "strength": head.strength,
            "training": {"augment": None, "imbalance": msgspec.to_builtins(balance)},
            "notes": balance.notes(),
        }

    tools = {**backbone.versions(spec), **backbone.versions_of("scikit-learn")}
    options = {
        **backbone.identity(spec),
        "seed": spec.seed,
        "method": "feature",
        "imbalance": spec.imbalance,
    }
    return Stage(name, 3, ("check", "backbone", "prepare", "features"), options, tools, run)


def fast_path_stage(spec: BuildSpec, setting: Setting) -> Stage:
    """Time one training step in each arithmetic and layout; a stage, so that a resumed build keeps the choice."""

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        size = inputs["backbone"].record["preprocess"]["height"]
        # the speed of a step does not depend on the weights, and the size they want is known by now
        timed = msgspec.structs.replace(spec, weights="none", image_size=size)
        told = isolate.call(
            "edgetl.transfer.fastpath:choose_json",
            {"spec": msgspec.to_builtins(timed), "classes": 2, "threads": setting.threads},
            env=MALLOC,
            on_tick=ctx.advance,
        )
        seconds = ", ".join(
            f"{name.removesuffix(' on cpu')} {value:.2f} s" for name, value in told["seconds"].items()
        )
        return {
            "summary": f"{told['said']} (a step of {told['pictures']}: {seconds})",
            "choice": told["choice"],
        }

    options = {
        "model": spec.model,
        "network": backbone.network_of(spec),
        "batch_size": spec.batch_size,
        "threads": setting.threads,
        "host": dict(setting.host),
    }
    return Stage("fastpath", 3, ("backbone",), options, backbone.versions(spec), run)


def trained_stage(spec: BuildSpec, setting: Setting, why: str = "") -> Stage:
    """Train by the method of the request, in a child process whose allocator is set for it.

    Parameters
    ----------
    why : this method was picked; empty where the user named it.

    Raises
    ------
    EnvironmentLacks : a library that the method takes is not installed.
    """
    method = METHODS[spec.method]
    for library in method.libraries:
        _check_installed(spec.method, library)

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        state = setting.scratch / digest.of_json(stage.key_parts(inputs))
        told = train_in_child(spec, inputs, out, state, setting, ctx)
        best, balance = told["best"], balance_of(spec, inputs)
        return {
            "summary": f"{spec.model}, {method.spoken}, {counted(told['epochs'], 'epoch')}, best {best['epoch']} · "
            f"augment {spec.augment}{balance.said()} · {selected(inputs, best['accuracy'])}"
            + "".join(f" · {word}" for word in (told["together"], why) if word),
            "select_accuracy": best["accuracy"],
            "training": {**made_up(spec, balance), **({"picked": spec.method, "why": why} if why else {})},
            "notes": [*balance.notes(), *told["notes"]],
        }

    options = {**options_of(spec, setting), **({"why": why} if why else {})}
    tools = {**backbone.versions(spec), **backbone.versions_of(*method.libraries)}
    stage = Stage("train", 6, (*TRAINED_FROM, *method.needs), options, tools, run)
    return stage


def options_of(spec: BuildSpec, setting: Setting) -> dict[str, Any]:
    """What of a request and of this host shapes what a training comes to."""
    return {
        **backbone.identity(spec),
        "augment": _policy(spec),
        **{name: getattr(spec, name) for name in METHODS[spec.method].reads},
        "method": spec.method,
        "threads": _threads_each(setting),
        "host": dict(setting.host),
        **({} if setting.processes is None else {"processes": setting.processes.count}),
    }


def train_in_child(
    spec: BuildSpec,
    inputs: Mapping[str, Artifact],
    out: Path,
    state: Path,
    setting: Setting,
    ctx: Context,
    *,
    keep_last: bool = False,
) -> dict[str, Any]:
    """Write the checkpoint of a training into ``out``; epochs, the one of them that stays, and notes.

    Parameters
    ----------
    inputs : artifacts of ``TRAINED_FROM`` and of what the method needs. state : where a killed one finds its epochs.
    keep_last : as in ``Trainer``.
    """
    np.save(out / "samples.npy", _samples(inputs))
    record = msgspec.structs.replace(
        _record(spec, inputs, spec.method), choices=made_up(spec, balance_of(spec, inputs))
    )
    told: dict[str, Any] = together.train(
        {
            "spec": msgspec.to_builtins(spec),
            "record": msgspec.to_builtins(record),
            "path": inputs["fastpath"].record["choice"],
            "dataset": str(inputs["check"].path / DATASET),
            "root": str(setting.root.resolve()),
            "prepared": str(inputs["prepare"].path),
            "given": {name: str(inputs[name].path) for name in METHODS[spec.method].needs},
            "out": str(out),
            "state": str(state),
            "threads": _threads_each(setting),
            "keep_last": keep_last,
        },
        setting.processes,
        on_tick=ctx.advance,
    )
    return told


def _threads_each(setting: Setting) -> int:
    """Of one of the processes that share this machine."""
    return max(1, setting.threads // (1 if setting.processes is None else setting.processes.local_count))


def selected(inputs: Mapping[str, Artifact], score: float | None) -> str:
    """How a network did on the select images: of one class an accuracy, of several tasks the mean of their scores."""
    if prepare.tasks_of(inputs["prepare"]):
        return "select score n/a" if score is None else f"select score {100 * score:.1f} of 100"
    return "select n/a" if score is None else f"select {100 * score:.1f} %"


def balance_of(spec: BuildSpec, inputs: Mapping[str, Artifact]) -> Balance | Balances:
    """What is done about classes of unequal size, by the pictures to train on."""
    asked = prepare.tasks_of(inputs["prepare"])
    if asked:
        return of_answers(spec.imbalance, asked, prepare.answers(inputs["prepare"], "train"))
    return decide(spec.imbalance, np.bincount(prepare.labels(inputs["prepare"], "train")).tolist())


def made_up(spec: BuildSpec, balance: Balance | Balances) -> dict[str, Any]:
    """What a training makes up for, for the manifest: how pictures are varied, and classes balanced."""
    told = balance.by_task if isinstance(balance, Balances) else balance
    return {"augment": _policy(spec), "imbalance": msgspec.to_builtins(told)}


def _policy(spec: BuildSpec) -> dict[str, Any]:
    policy: dict[str, Any] = msgspec.to_builtins(policy_for(spec))
    return policy


def _score(right: npt.NDArray[Any], labels: npt.NDArray[Any], balance: Balance) -> float | None:
    """Accuracy in which a picture counts as much as its class weighs, as the trainer judges its epochs."""
    if not len(right):
        return None
    counts = np.asarray(balance.weights)[labels] if balance.weights else None
    return float(np.average(right, weights=counts))


def _check_installed(method: str, library: str) -> None:
    if importlib.util.find_spec(library) is None:
        raise EnvironmentLacks(
            f"--method {method} takes {library}, which is not installed",
            hint=f"pip install 'edgetl[{method}]'",
        )


def _record(spec: BuildSpec, inputs: Mapping[str, Artifact], method: str) -> Any:
    from edgetl.transfer.checkpoint import Checkpoint

    told = inputs["backbone"].record
    return Checkpoint(
        model=spec.model,
        method=method,
        classes=tuple(inputs["check"].record["classes"]),
        preprocess=msgspec.convert(told["preprocess"], Preprocess),
        normalisation=told["normalisation"],
        initial_weights=backbone.identity(spec)["weights"],
        seed=spec.seed,
        tasks=prepare.tasks_of(inputs["prepare"]) or msgspec.UNSET,
    )


def _samples(inputs: Mapping[str, Artifact]) -> npt.NDArray[np.uint8]:
    """A few train pictures, spread over the classes."""
    pictures = prepare.images(inputs["prepare"], "train")
    rows = np.linspace(0, len(pictures) - 1, min(PARITY_SAMPLES, len(pictures))).astype(int)
    return np.ascontiguousarray(pictures[np.unique(rows)])
