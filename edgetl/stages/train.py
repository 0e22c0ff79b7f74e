"""train: the backbone learns the user's classes; a checkpoint comes out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl import digest, isolate
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.processes import Processes
from edgetl.stages import backbone, prepare, together
from edgetl.stages.check import DATASET
from edgetl.stages.together import MALLOC
from edgetl.transfer.methods.known import METHODS
from edgetl.types import BuildSpec, Preprocess

__all__ = ["fast_path_stage", "feature_stage", "trained_stage"]

PARITY_SAMPLES = 8
"""Pictures that travel with a checkpoint so that an export can prove itself."""


def feature_stage(spec: BuildSpec) -> Stage:
    """Fit a linear head on the features of the train role."""

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        from edgetl.transfer import checkpoint
        from edgetl.transfer.backbone import create
        from edgetl.transfer.methods import feature

        classes = inputs["check"].record["classes"]
        train = np.load(inputs["features"].path / "train.npy")
        targets = prepare.labels(inputs["prepare"], "train")
        head = feature.fit_head(train, targets, len(classes), spec.seed)
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
            choices={"C": head.strength},
        )
        checkpoint.save(net, record, _samples(inputs), out)
        np.savez(out / "head.npz", weight=head.weight, bias=head.bias)
        a_class = len(targets) // len(classes)
        said = "n/a" if accuracy is None else f"{100 * accuracy:.1f} %"
        return {
            "summary": f"{spec.model}, feature method, about {a_class} labels a class · select {said}",
            "select_accuracy": accuracy,
            "strength": head.strength,
        }

    tools = {**backbone.versions(spec), **backbone.versions_of("scikit-learn")}
    options = {**backbone.identity(spec), "seed": spec.seed, "method": "feature"}
    return Stage("train", 1, ("check", "backbone", "prepare", "features"), options, tools, run)


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


def trained_stage(
    spec: BuildSpec,
    root: Path,
    scratch: Path,
    host: Mapping[str, str],
    threads: int,
    processes: Processes | None = None,
) -> Stage:
    """Train by the method of the request, in a child process whose allocator is set for it.

    Parameters
    ----------
    root : where the pictures are: augmentation crops from the originals.
    scratch : where a killed training finds its last epoch again.
    threads : of this machine; they change the bits, so those of a training are part of the key.
    processes : where several train together, which then share the threads; their number is part of the key, too.
    """
    method = METHODS[spec.method]
    if processes is not None:
        threads = max(1, threads // processes.local_count)

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        record = _record(spec, inputs, spec.method)
        np.save(out / "samples.npy", _samples(inputs))
        told = together.train(
            {
                "spec": msgspec.to_builtins(spec),
                "record": msgspec.to_builtins(record),
                "path": inputs["fastpath"].record["choice"],
                "dataset": str(inputs["check"].path / DATASET),
                "root": str(root.resolve()),
                "prepared": str(inputs["prepare"].path),
                "given": {name: str(inputs[name].path) for name in method.needs},
                "out": str(out),
                "state": str(scratch / digest.of_json(stage.key_parts(inputs))),
                "threads": threads,
            },
            processes,
            on_tick=ctx.advance,
        )
        best = told["best"]
        return {
            "summary": f"{spec.model}, {method.spoken}, {told['epochs']} epochs, best {best['epoch']} · "
            f"select {100 * best['accuracy']:.1f} %" + (f" · {told['together']}" if told["together"] else ""),
            "select_accuracy": best["accuracy"],
        }

    options = {
        **backbone.identity(spec),
        **{name: getattr(spec, name) for name in method.reads},
        "method": spec.method,
        "threads": threads,
        "host": dict(host),
        **({} if processes is None else {"processes": processes.count}),
    }
    tools = {**backbone.versions(spec), **backbone.versions_of(*method.libraries)}
    needs = ("check", "backbone", "prepare", "fastpath", *method.needs)
    stage = Stage("train", 1, needs, options, tools, run)
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
