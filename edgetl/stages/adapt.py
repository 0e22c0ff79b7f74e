"""adapt: the trained network is fitted to frames of the place that the engine is for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from edgetl import digest, isolate
from edgetl.asked import choice
from edgetl.data import frames as target
from edgetl.data.layout import Dataset
from edgetl.errors import InputError
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.stages import backbone, domain
from edgetl.stages.check import DATASET
from edgetl.stages.ladder import Tuning
from edgetl.stages.train import MALLOC
from edgetl.transfer.methods.known import METHODS
from edgetl.types import ADAPTATIONS, BuildSpec

__all__ = ["NAME", "check", "stages", "tuning"]

NAME = "adapt"
DEFAULT = next(iter(ADAPTATIONS))
TRAINED = ("coral", "dann")
"""These train the body on with the labelled pictures; the others take the network and the frames alone."""


def check(spec: BuildSpec) -> None:
    """Refuse a request whose methods do not go together.

    Raises
    ------
    InputError : names what fits.
    """
    choice(spec.adapt_method, ADAPTATIONS, "--adapt-method")
    if spec.adapt is None:
        if spec.adapt_method != DEFAULT:
            raise InputError(
                f"--adapt-method {spec.adapt_method} has nothing to adapt to",
                hint="--adapt DIR with frames of the place that the engine is for",
            )
        return
    if spec.adapt_method in TRAINED and spec.method == "feature":
        raise InputError(
            f"--adapt-method {spec.adapt_method} trains the body, and --method feature keeps it frozen",
            hint="--method full; or --adapt-method adabn, which takes new statistics and trains nothing",
        )


def stages(
    spec: BuildSpec, source: Dataset, root: Path, scratch: Path, host: Mapping[str, str], threads: int
) -> list[Stage]:
    """The stages behind ``train`` that ``--adapt`` adds; none without it.

    Parameters
    ----------
    source, root : the labelled pictures. scratch : where a killed training finds its last epoch again.

    Raises
    ------
    InputError : the folder of frames is not usable.
    """
    if spec.adapt is None:
        return []
    place = Path(spec.adapt)
    frames = target.scan(place, source, seed=spec.seed)
    return [domain.stage(frames, place, source, root), _stage(spec, place, root, scratch, host, threads)]


def _stage(
    spec: BuildSpec, place: Path, root: Path, scratch: Path, host: Mapping[str, str], threads: int
) -> Stage:
    trains = spec.adapt_method in TRAINED
    base = METHODS[spec.method]
    also = base.needs if trains else ()

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        told = isolate.call(
            "edgetl.transfer.adapt:run_json",
            {
                "spec": msgspec.to_builtins(spec),
                "trained": str(inputs["train"].path),
                "path": inputs["fastpath"].record["choice"] if trains else {},
                "dataset": str(inputs["check"].path / DATASET),
                "root": str(root.resolve()),
                "prepared": str(inputs["prepare"].path),
                "domain": str(inputs[domain.NAME].path),
                "frames_root": str(place.resolve()),
                "frames": domain.adapted_to(inputs[domain.NAME]),
                "given": {name: str(inputs[name].path) for name in also},
                "out": str(out),
                "state": str(scratch / digest.of_json(stage.key_parts(inputs))),
                "threads": threads,
            },
            env=MALLOC,
            on_tick=ctx.advance,
        )
        count = inputs[domain.NAME].record["frames"]
        return {
            "summary": f"{ADAPTATIONS[spec.adapt_method]} on {count} target frames{_told(told['history'])}",
            "method": spec.adapt_method,
            "frames": count,
            "history": told["history"],
        }

    options: dict[str, Any] = {
        "method": spec.adapt_method,
        "seed": spec.seed,
        "threads": threads,
        "host": dict(host),
    }
    needs: tuple[str, ...] = ("check", "prepare", "train", domain.NAME)
    if trains:
        options["training"] = {name: getattr(spec, name) for name in ("method", *base.reads)}
        needs = (*needs, "fastpath", *also)
    tools = {**backbone.versions(spec), **(backbone.versions_of(*base.libraries) if trains else {})}
    stage = Stage(NAME, 1, needs, options, tools, run)
    return stage


def tuning(spec: BuildSpec, batch: int | Literal["dynamic"], threads: int) -> Tuning:
    """How the ladder trains the checkpoint on that is exported; an adapted body is not exported in parts."""
    if spec.adapt is None:
        return Tuning(batch, spec.method, spec.flip, threads)
    return Tuning(batch, f"{spec.method}, adapted", spec.flip, threads, trained=NAME)


def _told(history: list[dict[str, Any]]) -> str:
    """What went on, where it took more than one pass."""
    if not history:
        return ""
    if "entropy" in history[0]:
        return f" · entropy {history[0]['entropy']:.2f} to {history[-1]['entropy']:.2f} nats"
    return f", {len(history)} epochs with the labelled pictures"
