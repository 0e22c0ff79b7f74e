"""refine: what is done to INT8 that loses too much, one remedy after the other, each judged on the compiled engine.

Each rung is a stage of its own, so that a build that was killed goes on at its rung. A rung whose predecessor is
within the budget hands its model on. The judges are the ``select`` images; ``test`` is not looked at.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl.backends import seam
from edgetl.calibration import sampling
from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.quantize import place, rounding, schemes, statistics
from edgetl.quantize.schemes import Scheme
from edgetl.stages import prepare, verify
from edgetl.stages.sensitivity import by_layer
from edgetl.types import Record
from edgetl.verify.accuracy import logits_of_model, paired

__all__ = ["RUNGS", "Tried", "final", "stages"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

RUNGS = ("rounding", "float")
"""What is tried, in this order, after ``ranges``: the quantize stage's own result."""
MODEL, INTEGERS = "model.onnx", "rounded.npz"
MEASURED = 100
"""Pictures that the sensitivity of a layer is measured on."""
KEPT = 0.25
"""Share of the layers that may stay in float: with more of them there is little left of INT8."""


class Tried(Record, frozen=True, kw_only=True):
    """A rung and how its engine did on the ``select`` images.

    Attributes
    ----------
    rung : ``ranges``, or one of ``RUNGS``. kept : layers left in float.
    drop_pt : points of top-1 lost; drop_ci95_pt : Tango's interval. n : images.
    agreement : share of images with the class of f32. snr_db : of the logits; ``None`` where they are equal.
    """

    rung: str
    drop_pt: float
    drop_ci95_pt: tuple[float, float]
    n: int
    agreement: float
    snr_db: float | None
    kept: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Setting:
    """What every rung of a build shares."""

    profile: DeviceProfile
    scheme: Scheme
    method: str
    max_drop: float
    seed: int


def stages(
    profile: DeviceProfile,
    scheme: str,
    method: str,
    host: Mapping[str, str],
    *,
    reduce_range: bool,
    max_drop: float,
    seed: int,
) -> list[Stage]:
    """One stage a rung, after ``quantize`` and ``verify:f32``.

    Parameters
    ----------
    profile : that the engine is compiled for here. scheme, method, reduce_range : of the quantize stage.
    max_drop : budget in points of top-1.
    """
    setting = _Setting(
        msgspec.structs.replace(profile, precision="int8"),
        msgspec.structs.replace(schemes.find(scheme), reduce_range=reduce_range),
        method,
        max_drop,
        seed,
    )
    options = {
        "host": dict(host),
        "threads": profile.threads,
        "scheme": scheme,
        "method": method,
        "reduce_range": reduce_range,
        "max_drop": None if np.isinf(max_drop) else max_drop,
        "seed": seed,
    }
    tools = {**place.tools(), **seam.find(profile.backend).fingerprint()}
    made = []
    before = "quantize"
    for rung in RUNGS:
        needs = ("export", "prepare", "calibrate", "verify:f32", before)
        run = _stage_function(rung, before, setting)
        made.append(Stage(f"refine:{rung}", 3, needs, options, tools, run))
        before = f"refine:{rung}"
    return made


def final() -> str:
    """The stage whose artifact holds the model that is compiled as int8."""
    return f"refine:{RUNGS[-1]}"


def _stage_function(rung: str, before: str, setting: _Setting) -> Callable[..., Mapping[str, Any]]:
    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        ladder = _Ladder(inputs, before, setting, ctx)
        if not ladder.tried:
            ladder.tried.append(ladder.judge("ranges", ladder.model))
        needed = ladder.tried[-1].drop_pt > setting.max_drop
        shutil.copyfile(ladder.model, out / MODEL)
        if needed:
            _TRIES[rung](ladder, out)
        told = _told(ladder.tried, setting.max_drop) if rung == RUNGS[-1] else ""
        return {"summary": told, "needed": needed, "tried": msgspec.to_builtins(ladder.tried)}

    return run


class _Ladder:
    """A rung at work: its inputs, what was tried before it, and the judge."""

    def __init__(self, inputs: Mapping[str, Artifact], before: str, setting: _Setting, ctx: Context) -> None:
        self.setting = setting
        self.ctx = ctx
        self.exported = inputs["export"].path / MODEL
        self.model = inputs[before].path / MODEL
        self.integers = inputs[before].path / INTEGERS
        self.stats = statistics.load(inputs["calibrate"].path, model=self.exported)
        self.train = prepare.images(inputs["prepare"], "train")
        self.train_labels = prepare.labels(inputs["prepare"], "train")
        self.pictures = prepare.images(inputs["prepare"], "select")
        self.labels = prepare.labels(inputs["prepare"], "select")
        self.reference = verify.logits(inputs["verify:f32"], "select")
        self.tried = msgspec.convert(inputs[before].record.get("tried", []), list[Tried])

    def judge(self, rung: str, model: Path, kept: Sequence[str] = ()) -> Tried:
        """Hold a model's engine against f32 on the ``select`` images."""
        found = paired(
            self.labels, self.reference, logits_of_model(model, self.setting.profile, self.pictures)
        )
        return Tried(
            rung=rung,
            drop_pt=found.drop_pt,
            drop_ci95_pt=found.drop_ci95_pt,
            n=found.n,
            agreement=found.agreement,
            snr_db=found.snr_db,
            kept=tuple(kept),
        )

    def quantize(self, out: Path, rounded: Mapping[str, Array], kept: Sequence[str] = ()) -> None:
        """Quantize the exported model as this build does, with a rung's integers and layers in float."""
        setting = self.setting
        place.quantize(
            self.exported, self.stats, setting.scheme, setting.method, out, rounded=rounded, kept=set(kept)
        )


def _try_rounding(ladder: _Ladder, out: Path) -> None:
    """Weights rounded by what their layer answers."""
    drawn = sampling.stratified(ladder.train_labels, rounding.PICTURES, ladder.setting.seed)
    pictures = [np.ascontiguousarray(ladder.train[index : index + 1]) for index in drawn]
    rounded = rounding.round_layers(
        ladder.exported, pictures, ladder.setting.scheme, on_progress=ladder.ctx.advance
    )
    if _keep_better(
        ladder, out, rounded, "rounding"
    ):  # else the next rung starts from the nearest integers, too
        np.savez(out / INTEGERS, allow_pickle=False, **rounded)


def _try_float(ladder: _Ladder, out: Path) -> None:
    """The layers that change the answers most stay in float: one, two, four, and so on."""
    rounded = _integers(ladder.integers)
    few = slice(None, MEASURED)
    setting = ladder.setting
    effects = by_layer(
        ladder.exported,
        ladder.stats,
        setting.scheme,
        setting.method,
        ladder.reference[few],
        lambda model: logits_of_model(model, setting.profile, ladder.pictures[few]),
        rounded=rounded,
        on_progress=ladder.ctx.advance,
    )
    count = 1
    while count <= max(1, int(KEPT * len(effects))) and ladder.tried[-1].drop_pt > setting.max_drop:
        _keep_better(ladder, out, rounded, "float", [effect.name for effect in effects[:count]])
        count *= 2


def _keep_better(
    ladder: _Ladder, out: Path, rounded: Mapping[str, Array], rung: str, kept: Sequence[str] = ()
) -> bool:
    """Try a model; it replaces the one in ``out`` where it loses less, or as much with less noise: whether it did."""
    trial = out / f"trial.{MODEL}"
    ladder.quantize(trial, rounded, kept)
    found = ladder.judge(rung, trial, kept)
    best = min(ladder.tried, key=_loss)
    ladder.tried.append(found)
    better = _loss(found) <= _loss(best)
    if better:
        trial.replace(out / MODEL)
    else:
        trial.unlink()
    return better


def _loss(found: Tried) -> tuple[float, float]:
    return found.drop_pt, -np.inf if found.snr_db is None else -found.snr_db


def _integers(file: Path) -> dict[str, Array]:
    if not file.exists():
        return {}
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _told(found: Sequence[Tried], max_drop: float) -> str:
    """The rungs and their drops on the ``select`` images, for the build's line."""
    rungs: dict[str, Tried] = {}
    for one in found:  # the last of a rung is its last try
        rungs[one.rung] = one
    steps = [f"{rung}{_counted(one.kept)} {one.drop_pt:.1f}" for rung, one in rungs.items()]
    verdict = "within the budget" if min(one.drop_pt for one in found) <= max_drop else "over the budget"
    return f"points lost on {found[0].n} select images: {', '.join(steps)}; {verdict}"


def _counted(kept: Sequence[str]) -> str:
    return f" ({len(kept)} layer{'' if len(kept) == 1 else 's'})" if kept else ""


_TRIES: Mapping[str, Callable[[_Ladder, Path], None]] = {"rounding": _try_rounding, "float": _try_float}
