"""What the rungs of the ladder share: how an INT8 model is made, how its engine did, and the climb itself."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context
from edgetl.quantize import bias, observe, place, statistics
from edgetl.quantize.place import QuantizeReport
from edgetl.quantize.schemes import Scheme
from edgetl.quantize.statistics import Statistics
from edgetl.stages import held, prepare, verify
from edgetl.types import Record, Role
from edgetl.verify.accuracy import logits_of_model
from edgetl.verify.by_task import Budgets

__all__ = ["Deadline", "Ladder", "OutOfTime", "Rung", "Setting", "Tried", "Tuning", "Variant", "variant_of"]

Array = npt.NDArray[Any]

MODEL, FLOAT, INTEGERS, SHIFTS = "model.onnx", "float.onnx", "rounded.npz", "shifts.npz"


class Tried(Record, frozen=True, kw_only=True):
    """An INT8 model and how its engine did on the ``select`` images.

    Attributes
    ----------
    what : how it differs from the best before it. kept : layers left in float.
    drop_pt : points of top-1 lost; drop_ci95_pt : Tango's interval. n : images.
    agreement : share of images with the class of f32. snr_db : of the logits; ``None`` where they are equal.
    """

    what: str
    drop_pt: float
    drop_ci95_pt: tuple[float, float]
    n: int
    agreement: float
    snr_db: float | None
    kept: tuple[str, ...] = ()

    @property
    def loss(self) -> tuple[float, float]:
        """What is compared: points lost, then noise."""
        return self.drop_pt, -math.inf if self.snr_db is None else -self.snr_db


class Rung(Record, frozen=True, kw_only=True):
    """A rung of the ladder, and what came of it.

    Attributes
    ----------
    rung : its name; ``ranges`` is the first, what the quantize stage made.
    outcome : whether the best of its tries goes on; else why it does not, or why nothing was tried.
    why : the same in words, with figures.
    cut : it ran out of time: with more, it may come to something else.
    """

    rung: str
    outcome: Literal["kept", "no better", "not needed", "does not apply", "no time"]
    why: str
    tries: tuple[Tried, ...] = ()
    cut: bool = False


class OutOfTime(Exception):
    """The time budget of the ladder is spent."""


class Deadline:
    """The time budget of a build's ladder. It runs from the first look at it: a rung that is cached takes nothing.

    Parameters
    ----------
    seconds : infinity lifts it. clock : seconds, monotonic.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._begun: float | None = None

    @property
    def left(self) -> float:
        """Seconds."""
        now = self._clock()
        self._begun = now if self._begun is None else self._begun
        return self.seconds - (now - self._begun)

    def check(self) -> None:
        """Raise ``OutOfTime`` where nothing is left."""
        if self.left <= 0:
            raise OutOfTime

    def __str__(self) -> str:
        left = max(self.left, 0.0)
        return f"{left:.0f} s" if left < 120 else f"{left / 60:.0f} min"


@dataclass(frozen=True)
class Tuning:
    """What training on takes besides a checkpoint.

    Attributes
    ----------
    batch, method : of the export, and of the training before.
    flip : a mirrored picture is a picture. threads : of the training; they change its bits.
    """

    batch: int | Literal["dynamic"]
    method: str
    flip: bool
    threads: int


@dataclass(frozen=True)
class Setting:
    """What every rung of a build shares.

    Attributes
    ----------
    profile : that engines are compiled for here, in int8.
    method : how the quantize stage made ranges. max_drop : budget in points of top-1.
    tuning : ``None`` where there is no checkpoint. budgets : of several tasks.
    """

    profile: DeviceProfile
    scheme: Scheme
    method: str
    max_drop: float
    seed: int
    tuning: Tuning | None = None
    budgets: Budgets = held.LIFTED


@dataclass(frozen=True)
class Variant:
    """How an INT8 model is made: from which float model, and with which choices.

    Attributes
    ----------
    model : the float model: the exported one, or one that answers the same or better in INT8.
    calibration : folder with the statistics of that model. method : how ranges are made from them.
    rounded : integers of weights, made for the scheme's ``reduce_range``.
    shifts : what is added to biases (``quantize.bias``). kept : layers that stay in float.
    """

    model: Path
    calibration: Path
    stats: Statistics
    method: str
    rounded: Mapping[str, Array] = field(default_factory=dict)
    shifts: Mapping[str, Array] = field(default_factory=dict)
    kept: tuple[str, ...] = ()

    def quantize(self, out: Path, scheme: Scheme) -> QuantizeReport:
        """Write the INT8 model; another placement or further layers in float are ``dataclasses.replace`` away."""
        report = place.quantize(
            self.model, self.stats, scheme, self.method, out, rounded=self.rounded, kept=set(self.kept)
        )
        if self.shifts:
            bias.shift(out, self.shifts)
        return report

    def save(self, folder: Path, exported: Path) -> dict[str, Any]:
        """Put what ``variant_of`` reads into a rung's folder; the rest of it, for the rung's record."""
        if self.model != exported:
            shutil.copyfile(self.model, folder / FLOAT)
            for name in (statistics.NUMBERS, statistics.FACTS):
                shutil.copyfile(self.calibration / name, folder / name)
        for file, arrays in ((INTEGERS, self.rounded), (SHIFTS, self.shifts)):
            if arrays:
                np.savez(folder / file, allow_pickle=False, **arrays)
        return {"method": self.method, "kept": list(self.kept)}


def variant_of(rung: Artifact, export: Artifact, calibrate: Artifact) -> Variant:
    """How the INT8 model that a rung handed on was made.

    Parameters
    ----------
    rung : of any ``refine`` stage. export, calibrate : what the ladder began with.
    """
    own = rung.path / FLOAT
    model, calibration = (own, rung.path) if own.exists() else (export.path / MODEL, calibrate.path)
    told = rung.record["variant"]
    return Variant(
        model,
        calibration,
        statistics.load(calibration, model=model),
        told["method"],
        _arrays(rung.path / INTEGERS),
        _arrays(rung.path / SHIFTS),
        tuple(told["kept"]),
    )


class Ladder:
    """A rung at work: what it was handed, what it tries, and the better of both.

    Parameters
    ----------
    inputs : artifacts of ``export``, ``prepare``, ``calibrate``, ``verify:f32`` and ``before``.
    before : the stage whose model this rung was handed.
    scratch : an empty folder that is gone when the rung ends.

    Attributes
    ----------
    best : how the best model so far is made. found : how it did. rungs : those below this one.
    tries : what this rung tried.
    """

    def __init__(
        self,
        setting: Setting,
        inputs: Mapping[str, Artifact],
        before: str,
        deadline: Deadline,
        ctx: Context,
        scratch: Path,
    ) -> None:
        self.setting = setting
        self.inputs = inputs
        self.deadline = deadline
        self.scratch = scratch
        self.exported = inputs["export"].path / MODEL
        self.reference = verify.logits(inputs["verify:f32"], "select")
        self.tries: list[Tried] = []
        self._ctx = ctx
        self._model = inputs[before].path / MODEL
        self.rungs = msgspec.convert(inputs[before].record.get("rungs", []), list[Rung])
        if self.rungs:
            self.best = variant_of(inputs[before], inputs["export"], inputs["calibrate"])
            self.found = min((one for rung in self.rungs for one in rung.tries), key=lambda tried: tried.loss)
        else:
            calibration = inputs["calibrate"].path
            stats = statistics.load(calibration, model=self.exported)
            self.best = Variant(self.exported, calibration, stats, setting.method)
            self.found = self._judge(self._model, setting.method, ())
            why = f"{self.found.drop_pt:.1f} points lost"
            self.rungs.append(Rung(rung="ranges", outcome="kept", why=why, tries=(self.found,)))

    @property
    def held(self) -> bool:
        """Whether the best model is within the budget."""
        return self.found.drop_pt <= self.setting.max_drop

    def advance(self, done: int, total: int) -> None:
        """Report progress; stops here where the time is spent, or the user asked to."""
        self.deadline.check()
        self._ctx.advance(done, total)

    def pictures(self, role: Role) -> Array:
        """What the network reads, (N, ...)."""
        return prepare.images(self.inputs["prepare"], role)

    def labels(self, role: Role) -> Array:
        """Class indices, (N,)."""
        return prepare.labels(self.inputs["prepare"], role)

    def recalibrate(self, model: Path) -> Variant:
        """Another float model, observed on the pictures that the exported one was calibrated with."""
        of = statistics.load_identity(self.inputs["calibrate"].path)
        train = self.pictures("train")
        stats = observe.observe(
            model,
            (np.ascontiguousarray(train[index : index + 1]) for index in of.samples),
            total=len(of.samples),
            on_progress=self.advance,
            method=of.method,
        )
        folder = self.scratch / f"{model.stem}-calibration"
        folder.mkdir()
        own = statistics.identity(model, of.preprocess, of.data, of.samples, of.method)
        statistics.save(stats, own, folder)
        return Variant(model, folder, stats, self.best.method)

    def answers(self, model: Path, pictures: Array) -> npt.NDArray[np.float32]:
        """Logits of a model's engine."""
        return logits_of_model(model, self.setting.profile, pictures)

    def consider(self, variant: Variant, what: str) -> bool:
        """Try a model; it becomes the best where it loses less, or as much with less noise: whether it did.

        Raises
        ------
        OutOfTime : none is left for it.
        """
        self.deadline.check()
        trial = self.scratch / f"trial-{len(self.tries)}.onnx"
        variant.quantize(trial, self.setting.scheme)
        tried = self._judge(trial, what, variant.kept)
        self.tries.append(tried)
        better = tried.loss < self.found.loss
        if better:
            self.best, self.found, self._model = variant, tried, trial
        return better

    def consider_with_first_method(self, variant: Variant, what: str) -> None:
        """Try a model with its method, and with the quantize stage's own.

        Another method may have won only for what this rung mends.
        """
        self.consider(variant, what)
        first = self.setting.method
        if variant.method != first:
            self.consider(replace(variant, method=first, shifts={}), f"{what}, {first} ranges")

    def hand_on(self, out: Path) -> dict[str, Any]:
        """Write the best model and how it is made; the record that ``variant_of`` reads."""
        shutil.copyfile(self._model, out / MODEL)
        return self.best.save(out, self.exported)

    def _judge(self, model: Path, what: str, kept: tuple[str, ...]) -> Tried:
        """Hold a model's engine against f32 on the ``select`` images."""
        answers = self.answers(model, self.pictures("select"))
        pair = held.against(self.inputs["prepare"], "select", self.reference, answers, self.setting.budgets)
        self._ctx.remark(f"{what}: {pair.drop_pt:.1f} points lost, {self.deadline} left")
        return Tried(
            what=what,
            drop_pt=pair.drop_pt,
            drop_ci95_pt=pair.drop_ci95_pt,
            n=pair.n,
            agreement=pair.agreement,
            snr_db=pair.snr_db,
            kept=kept,
        )


def _arrays(file: Path) -> dict[str, Array]:
    if not file.exists():
        return {}
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
