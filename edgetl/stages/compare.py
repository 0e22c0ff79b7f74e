"""compare: what the transfer brought, against the same network from random weights and a head on frozen features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl import stats
from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.stages import auto, backbone, features, prepare, train
from edgetl.stages.train import Setting
from edgetl.transfer.methods.known import METHODS, PROBE
from edgetl.types import BuildSpec

__all__ = ["NAME", "REFERENCES", "gain", "reached", "sentences", "stages"]

NAME = "compare"
REFERENCES = ("scratch",)
SCRATCH, FROZEN = f"{NAME}:scratch", f"{NAME}:frozen"


def stages(spec: BuildSpec, setting: Setting, runs_on: DeviceProfile) -> list[Stage]:
    """After ``train``: the training from random weights, the head on frozen features, and ``compare`` itself.

    Random weights get the epochs that the transfer has at most.

    Parameters
    ----------
    runs_on : profile whose f32 engine computes features.
    """
    plain = msgspec.structs.replace(spec, teacher=None, kd_temperature=None)
    epochs = min(spec.epochs, auto.MOST_EPOCHS) if spec.method == "auto" else spec.epochs
    random = msgspec.structs.replace(plain, weights="none", method="full", epochs=epochs)
    fast = train.fast_path_stage(spec, setting).again(f"{NAME}:fastpath", brief=lambda _: "")
    scratch = train.trained_stage(random, setting).again(
        SCRATCH, reads={"fastpath": fast.name}, brief=lambda record: f"from random weights {_select(record)}"
    )
    if spec.method == "feature":
        return [fast, scratch, _judged(spec, ())]
    if PROBE in METHODS[spec.method].needs:  # it has one already
        return [fast, scratch, _judged(spec, (FROZEN,)).again(NAME, reads={FROZEN: PROBE})]
    return [fast, scratch, *_frozen(plain, setting, runs_on), _judged(spec, (FROZEN,))]


def _frozen(spec: BuildSpec, setting: Setting, runs_on: DeviceProfile) -> list[Stage]:
    """A head on frozen features, as ``--method feature`` makes it."""
    own = msgspec.structs.replace(spec, method="feature", batch="1")
    names = {part: f"{NAME}:{part}" for part in ("backbone", "features")}
    parts = (backbone.stage(own, with_features=True), features.stage(runs_on, setting.host))
    made = [stage.again(names[stage.name], reads=names, brief=lambda _: "") for stage in parts]
    head = train.feature_stage(own, name=PROBE).again(
        FROZEN, reads=names, brief=lambda record: f"a head on frozen features {_select(record)}"
    )
    return [*made, head]


def _select(record: Mapping[str, Any]) -> str:
    return f"select {100 * record['select_accuracy']:.1f} %"


def _judged(spec: BuildSpec, others: Sequence[str]) -> Stage:
    trained = ("train", SCRATCH, *others)

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        from edgetl.transfer import checkpoint
        from edgetl.transfer.answers import logits_of

        pictures, labels = (
            prepare.images(inputs["prepare"], "test"),
            prepare.labels(inputs["prepare"], "test"),
        )
        right, histories = {}, {}
        for place, name in enumerate(trained):
            net, record = checkpoint.load(inputs[name].path)
            told = ctx.part(place * len(pictures), len(trained) * len(pictures))
            right[name] = logits_of(net, record.preprocess, pictures, told).argmax(axis=1) == labels
            histories[name] = [row["accuracy"] for row in record.history if "accuracy" in row]
        found: dict[str, Any] = {
            "reference": spec.compare,
            "n": len(labels),
            "accuracy": float(right["train"].mean()),
            "against": {name.rpartition(":")[2]: gain(right["train"], right[name]) for name in trained[1:]},
            "epochs": reached(histories["train"], histories[SCRATCH]),
        }
        found["sentences"] = sentences(found)
        return {"summary": found["sentences"][0], "found": found}

    needs = ("prepare", *trained)
    return Stage(NAME, 2, needs, {"reference": spec.compare}, backbone.versions_of("torch"), run)


def gain(ours: npt.NDArray[np.bool_], theirs: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """What one network is right on more often than another, image by image.

    Parameters
    ----------
    ours, theirs : bool (N,), which test images each is right on.

    Returns
    -------
    The ``accuracy`` of theirs, ``gain_pt`` of ours in points, its ``ci95_pt`` (Tango's interval), and ``verdict``:
    ``better`` where the interval lies above 0, ``worse`` where it lies below, else ``cannot tell``.
    """
    more, less = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    low, high = (-end * 100 for end in reversed(stats.tango(less, more, len(ours))))
    verdict = "better" if low > 0 else "worse" if high < 0 else "cannot tell"
    points = 100 * (more - less) / len(ours)
    return {"accuracy": float(theirs.mean()), "gain_pt": points, "ci95_pt": [low, high], "verdict": verdict}


def reached(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any] | None:
    """Epochs until each reaches the select accuracy that both come to; ``None`` where one has no epochs."""
    if not ours or not theirs:
        return None
    target = min(max(ours), max(theirs))
    first = [next(epoch for epoch, found in enumerate(side, 1) if found >= target) for side in (ours, theirs)]
    return {"select_accuracy": target, "transfer": first[0], "scratch": first[1]}


def sentences(found: Mapping[str, Any]) -> list[str]:
    """The gains and the epochs in words; negative transfer is called by its name."""
    lines, epochs = [], found["epochs"]
    for name, told in found["against"].items():
        low, high = told["ci95_pt"]
        lines.append(
            f"transfer {100 * found['accuracy']:.1f} %, {_AGAINST[name]} {100 * told['accuracy']:.1f} %: "
            f"{told['gain_pt']:+.1f} points, 95 % interval [{low:+.1f}, {high:+.1f}], {found['n']} test images"
            f"{_judgement(name, told['verdict'], epochs is not None)}"
        )
    if epochs is not None:
        target, ours, theirs = epochs["select_accuracy"], epochs["transfer"], epochs["scratch"]
        lines.append(
            f"{100 * target:.1f} % right on select: epoch {ours} of the transfer, epoch {theirs} from random weights"
        )
    return lines


_AGAINST = {"scratch": "random weights", "frozen": "a head on frozen features"}


def _judgement(name: str, verdict: str, in_epochs: bool) -> str:
    if verdict == "better":
        return ""
    if verdict == "cannot tell":
        return "; so few cannot tell them apart"
    if name == "frozen":
        return ": training the body did harm, --method feature is better"
    return f": negative transfer, {'in as many epochs ' if in_epochs else ''}random weights come further"
