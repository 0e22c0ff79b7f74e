"""train: the backbone learns the user's classes; a checkpoint comes out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl import digest, isolate
from edgetl.data.imbalance import decide
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.stages import backbone, prepare
from edgetl.stages.check import DATASET, groups_of
from edgetl.transfer.policy import policy_of
from edgetl.types import BuildSpec, Preprocess

__all__ = ["fast_path_stage", "feature_stage", "full_stage"]

PARITY_SAMPLES = 8
"""Pictures that travel with a checkpoint so that an export can prove itself."""
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "268435456",
}
"""glibc gives large blocks back to the system after each use; training asks for the same ones every step."""


def feature_stage(spec: BuildSpec) -> Stage:
    """Fit a linear head on the features of the train role."""

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        from edgetl.transfer import checkpoint
        from edgetl.transfer.backbone import create
        from edgetl.transfer.methods import feature

        classes = inputs["check"].record["classes"]
        train = np.load(inputs["features"].path / "train.npy")
        targets = prepare.labels(inputs["prepare"], "train")
        groups = groups_of(inputs["check"], "train")
        balance = decide(spec.imbalance, np.bincount(targets).tolist())
        head = feature.fit_head(
            train, targets, len(classes), spec.seed, groups=groups, weights=balance.weights
        )
        held = np.load(inputs["features"].path / "select.npy")
        right = (held @ head.weight.T + head.bias).argmax(axis=1) == prepare.labels(
            inputs["prepare"], "select"
        )
        accuracy = float(right.mean()) if len(right) else None
        net = create(spec, len(classes), ctx.progress.note).net
        checkpoint.set_head(net, head.weight, head.bias)
        record = _record(spec, inputs, "feature")
        record = msgspec.structs.replace(
            record,
            history=[{"select_accuracy": accuracy, "cv_accuracy": head.scores}],
            choices={"C": head.strength, "imbalance": msgspec.to_builtins(balance)},
        )
        checkpoint.save(net, record, _samples(inputs), out)
        np.savez(out / "head.npz", weight=head.weight, bias=head.bias)
        a_class = len(targets) // len(classes)
        said = "n/a" if accuracy is None else f"{100 * accuracy:.1f} %"
        return {
            "summary": f"{spec.model}, feature method, about {a_class} labels a class{balance.said()} · select {said}",
            "select_accuracy": accuracy,
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
    return Stage("train", 2, ("check", "backbone", "prepare", "features"), options, tools, run)


def fast_path_stage(spec: BuildSpec, host: Mapping[str, str], threads: int) -> Stage:
    """Time one training step in each arithmetic and layout; a stage, so that a resumed build keeps the choice."""

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        size = inputs["backbone"].record["preprocess"]["height"]
        # the speed of a step does not depend on the weights, and the size they want is known by now
        timed = msgspec.structs.replace(spec, weights="none", image_size=size)
        told = isolate.call(
            "edgetl.transfer.fastpath:choose_json",
            {"spec": msgspec.to_builtins(timed), "classes": 2, "threads": threads},
            env=MALLOC,
            on_tick=ctx.advance,
        )
        seconds = ", ".join(
            f"{name.removesuffix(' on cpu')} {value:.2f} s" for name, value in told["seconds"].items()
        )
        return {"summary": f"{told['said']} (a step: {seconds})", "choice": told["choice"]}

    options = {"model": spec.model, "batch_size": spec.batch_size, "threads": threads, "host": dict(host)}
    return Stage("fastpath", 2, ("backbone",), options, backbone.versions(spec), run)


def full_stage(spec: BuildSpec, root: Path, scratch: Path, host: Mapping[str, str], threads: int) -> Stage:
    """Train all weights, in a child process whose allocator is set for it.

    Parameters
    ----------
    root : where the pictures are: augmentation crops from the originals.
    scratch : where a killed training finds its last epoch again.
    threads : of the training; they change the bits, so they are part of the key.
    """
    wanted = {
        "epochs": spec.epochs,
        "batch_size": spec.batch_size,
        "lr": spec.lr,
        "augment": msgspec.to_builtins(policy_of(spec.augment, flip=spec.flip)),
        "seed": spec.seed,
        "method": "full",
        "imbalance": spec.imbalance,
        "threads": threads,
    }

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        targets = prepare.labels(inputs["prepare"], "train")
        balance = decide(spec.imbalance, np.bincount(targets).tolist())
        training = {"augment": wanted["augment"], "imbalance": msgspec.to_builtins(balance)}
        record = msgspec.structs.replace(_record(spec, inputs, "full"), choices=training)
        np.save(out / "samples.npy", _samples(inputs))
        told = isolate.call(
            "edgetl.transfer.trainer:run_json",
            {
                "spec": msgspec.to_builtins(spec),
                "record": msgspec.to_builtins(record),
                "path": inputs["fastpath"].record["choice"],
                "dataset": str(inputs["check"].path / DATASET),
                "root": str(root.resolve()),
                "prepared": str(inputs["prepare"].path),
                "out": str(out),
                "state": str(scratch / digest.of_json(stage.key_parts(inputs))),
                "threads": threads,
            },
            env=MALLOC,
            on_tick=ctx.advance,
        )
        best = told["best"]
        return {
            "summary": f"{spec.model}, all weights, {told['epochs']} epochs, best {best['epoch']}"
            f"{balance.said()} · augment {spec.augment} · select {100 * best['accuracy']:.1f} %",
            "select_accuracy": best["accuracy"],
            "training": training,
            "notes": balance.notes(),
        }

    options = {**backbone.identity(spec), **wanted, "host": dict(host)}
    needs = ("check", "backbone", "prepare", "fastpath")
    stage = Stage("train", 2, needs, options, backbone.versions(spec), run)
    return stage


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
    )


def _samples(inputs: Mapping[str, Artifact]) -> npt.NDArray[np.uint8]:
    """A few train pictures, spread over the classes."""
    pictures = prepare.images(inputs["prepare"], "train")
    rows = np.linspace(0, len(pictures) - 1, min(PARITY_SAMPLES, len(pictures))).astype(int)
    return np.ascontiguousarray(pictures[np.unique(rows)])
