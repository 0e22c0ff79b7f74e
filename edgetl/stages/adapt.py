"""adapt: the trained network is fitted to frames of the place that the engine is for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgetl import digest, isolate
from edgetl.asked import choice
from edgetl.errors import InputError
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.stages import backbone, domain, together, train
from edgetl.stages.check import DATASET
from edgetl.types import BuildSpec
from edgetl.words import ADAPTATIONS, counted

__all__ = ["NAME", "TRAINED", "check", "method_of", "stage"]

NAME = "adapt"
DEFAULT = next(iter(ADAPTATIONS))
TRAINED = ("coral", "dann")
"""These train all weights on with the labelled pictures; the others take the network and the frames alone."""
LEAST = 2
"""Pictures of a step: one has no covariance, and batch norm no variance of it."""
READ = ("augment", "epochs", "batch_size", "flip", "imbalance", "lr")
"""What such a training reads of a request, beside the seed."""


def check(spec: BuildSpec) -> None:
    """Refuse a way of adapting that is not known, has nothing to adapt to, or too small a batch to train with.

    Raises
    ------
    InputError : names those there are, or what it takes.
    """
    choice(spec.adapt_method, ADAPTATIONS, "--adapt-method")
    if spec.adapt is None and spec.adapt_method != DEFAULT:
        raise InputError(
            f"--adapt-method {spec.adapt_method} has nothing to adapt to",
            hint="--adapt DIR with frames of the place that the engine is for",
        )
    if spec.adapt_method in TRAINED and spec.batch_size < LEAST:
        raise InputError(
            f"--adapt-method {spec.adapt_method} trains, and a training step takes at least two pictures",
            hint="--batch-size 32",
        )


def method_of(spec: BuildSpec) -> str:
    """What left the network that is exported: the method, or ``adapt``, after which no body is the backbone's."""
    return spec.method if spec.adapt is None else NAME


def stage(spec: BuildSpec, place: Path, setting: train.Setting) -> Stage:
    """Fit the checkpoint of ``train`` to the frames of ``domain``, which lie in ``place``."""
    trains = spec.adapt_method in TRAINED

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        told = isolate.call(
            "edgetl.transfer.adapt:run_json",
            {
                "spec": msgspec.to_builtins(spec),
                "trained": str(inputs["train"].path),
                "path": inputs["fastpath"].record["choice"] if trains else {},
                "dataset": str(inputs["check"].path / DATASET),
                "root": str(setting.root.resolve()),
                "prepared": str(inputs["prepare"].path),
                "domain": str(inputs[domain.NAME].path),
                "frames_root": str(place.resolve()),
                "frames": domain.adapted_to(inputs[domain.NAME]),
                "out": str(out),
                "state": str(setting.scratch / digest.of_json(made.key_parts(inputs))),
                "threads": setting.threads,
            },
            env=together.MALLOC,
            on_tick=ctx.advance,
        )
        count = inputs[domain.NAME].record["frames"]
        return {
            "summary": f"{ADAPTATIONS[spec.adapt_method]} on {count} target frames{_told(told['history'])}",
            "method": spec.adapt_method,
            "frames": count,
            "history": told["history"],
            "notes": told["notes"],
        }

    options: dict[str, Any] = {
        "method": spec.adapt_method,
        "seed": spec.seed,
        "threads": setting.threads,
        "host": dict(setting.host),
    }
    needs: tuple[str, ...] = ("check", "prepare", "train", domain.NAME)
    if trains:
        options["training"] = {name: getattr(spec, name) for name in READ}
        needs = (*needs, "fastpath")
    made = Stage(NAME, 2, needs, options, backbone.versions(spec), run)
    return made


def _told(history: list[dict[str, Any]]) -> str:
    """What went on, where it took more than one pass."""
    if not history:
        return ""
    if "entropy" in history[0]:
        return f" · entropy {history[0]['entropy']:.2f} to {history[-1]['entropy']:.2f} nats"
    return f", {counted(len(history), 'epoch')} of all weights with the labelled pictures"
