"""teacher: what a student learns from: the same backbone, another one, a checkpoint or a bundle."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgetl import digest, models
from edgetl.data.decode import load_images
from edgetl.devices import DeviceProfile
from edgetl.errors import InputError, did_you_mean
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.runtime import archive, open_bundle
from edgetl.runtime import preprocess as rule
from edgetl.runtime.bundle import Bundle
from edgetl.stages import backbone, check, features, prepare, train
from edgetl.stages.train import Setting
from edgetl.transfer.methods.known import TEACHER
from edgetl.types import BuildSpec, Preprocess

__all__ = ["stages"]

MANIFEST = "manifest.json"
CHECKPOINT = ("checkpoint.json", "model.safetensors", "samples.npy")
BATCH = 32
SHOWN = 6
"""Classes that an error names."""


def stages(spec: BuildSpec, setting: Setting, runs_on: DeviceProfile, classes: Sequence[str]) -> list[Stage]:
    """The stages up to the one called ``teacher``, which leaves a checkpoint, or a graph with its preprocessing.

    Parameters
    ----------
    runs_on : profile whose f32 engine computes features. classes : of the data.

    Raises
    ------
    InputError : there is no such teacher, it cannot be read, it has random weights, or its classes are not the data's.
    BundleError : a byte of the bundle differs.
    """
    if spec.teacher is None:
        return [_same(spec, setting)]
    place = Path(spec.teacher)
    if (place / CHECKPOINT[0]).is_file():
        return [_from_checkpoint(place, setting, classes)]
    if (place / MANIFEST).is_file() or place.is_file():
        return [_from_bundle(place, setting, classes)]
    if place.is_dir():
        raise InputError(
            f"--teacher {place} is neither a bundle nor a checkpoint: it has no {MANIFEST} and no {CHECKPOINT[0]}",
            hint="edgetl build writes a bundle, edgetl train a checkpoint",
        )
    return _named(spec, spec.teacher, setting, runs_on)


def _same(spec: BuildSpec, setting: Setting) -> Stage:
    """The student's own backbone, all weights trained on the data."""
    own = msgspec.structs.replace(spec, method="full")
    stage = train.trained_stage(own, setting)
    return stage.again(
        TEACHER, brief=lambda record: f"none was given, so the same backbone: {record['summary']}"
    )


def _named(spec: BuildSpec, name: str, setting: Setting, runs_on: DeviceProfile) -> list[Stage]:
    """A backbone by name, whose head is fitted on its frozen features of the data."""
    _check_name(spec, name)
    own = msgspec.structs.replace(
        spec, model=name, weights=spec.teacher_weights, method="feature", batch="1", teacher=None
    )
    if models.find(name) is not None or name.startswith("timm/"):  # they know their size; a factory does not
        own = msgspec.structs.replace(own, image_size=None, crop=None, mean=None, std=None)
    names = {part: f"{TEACHER}:{part}" for part in ("backbone", "prepare", "features")}
    parts = (
        backbone.stage(own, with_features=True),
        prepare.stage(setting.root),
        features.stage(runs_on, setting.host),
    )
    made = [stage.again(names[stage.name], reads=names, brief=lambda _: "") for stage in parts]
    return [*made, train.feature_stage(own).again(TEACHER, reads=names)]


def _check_name(spec: BuildSpec, name: str) -> None:
    try:
        card = models.find(name)
    except InputError as error:
        raise InputError(
            f"--teacher {name!r} is no model, bundle or checkpoint.{did_you_mean(name, models.cards())}",
            hint="edgetl models   lists the models; or the folder of a bundle or checkpoint",
            teacher=name,
        ) from error
    without = card is None and not name.startswith("timm/")
    if spec.teacher_weights == "none" or (without and spec.teacher_weights == "DEFAULT"):
        raise InputError(
            f"--teacher {name} has random weights: there is nothing to learn from it",
            hint="--teacher-weights FILE (.pth or .safetensors)",
        )


def _from_checkpoint(place: Path, setting: Setting, ours: Sequence[str]) -> Stage:
    """A network that edgetl train wrote."""
    try:
        record = msgspec.json.decode((place / CHECKPOINT[0]).read_bytes())
        classes, weights = tuple(record["classes"]), record["weights"]
        preprocess = msgspec.convert(record["preprocess"], Preprocess)
        told = f"{record['model']}, {record['method']} method"
    except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError) as error:
        raise InputError(
            f"--teacher {place / CHECKPOINT[0]} is not what edgetl train writes: {error}", hint="train again"
        ) from error
    _check_classes(place, classes, ours)

    def put(out: Path) -> None:
        from edgetl.transfer import checkpoint

        checkpoint.load(place)  # its weights are those that were written
        for name in CHECKPOINT:
            (out / name).write_bytes((place / name).read_bytes())

    return _given(f"checkpoint {place.name}, {told}", {"weights": weights}, preprocess, put, setting)


def _from_bundle(place: Path, setting: Setting, ours: Sequence[str]) -> Stage:
    """A bundle has no checkpoint: its float graph answers, pixels in, and tells what its last layer reads."""
    with _opened(place) as bundle:
        _check_classes(place, bundle.labels, ours)
        preprocess, manifest = bundle.preprocess, bundle.manifest

    def put(out: Path) -> None:
        from edgetl.quantize.penultimate import with_features
        from edgetl.transfer.teacher import GRAPH, PREPROCESS

        with _opened(place) as bundle:
            with_features(bundle.folder / "model.fp32.onnx", out / GRAPH)
        (out / PREPROCESS).write_bytes(digest.canonical_json(preprocess))

    told = f"the float graph of bundle {manifest.name}, {manifest.model}"
    return _given(told, {"manifest": manifest.sha256}, preprocess, put, setting)


def _given(
    told: str,
    identity: Mapping[str, str],
    preprocess: Preprocess,
    put: Callable[[Path], None],
    setting: Setting,
) -> Stage:
    """A teacher that is ready: it is copied by ``put``, and asked about the select images."""

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        from edgetl.transfer import teacher
        from edgetl.transfer.fastpath import FastPath

        put(out)
        asked = teacher.load(out, FastPath(), setting.threads)
        held = [s for s in check.dataset_of(inputs["check"]).samples if s.role == "select"]
        pictures = list(
            load_images(setting.root, [s.path for s in held], lambda image: rule.apply(image, preprocess))
        )
        right = 0
        for start in range(0, len(held), BATCH):
            found = teacher.classes_of(asked, np.stack(pictures[start : start + BATCH]))
            right += sum(one == s.label for one, s in zip(found, held[start : start + BATCH]))
            ctx.advance(start + len(found), len(held))
        accuracy = right / len(held) if held else None
        said = "n/a" if accuracy is None else f"{100 * accuracy:.1f} %"
        return {"summary": f"{told} · select {said}", "select_accuracy": accuracy}

    tools = {**rule.tools(), **backbone.versions_of("torch", "onnx", "onnxruntime")}
    return Stage(TEACHER, 1, ("check",), {**identity, "told": told}, tools, run)


@contextmanager
def _opened(place: Path) -> Iterator[Bundle]:
    """A bundle, every byte checked, also one that is a single file."""
    if not place.is_file():
        yield open_bundle(place)
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield open_bundle(archive.unpack(place, Path(scratch) / "bundle"))


def _check_classes(place: Path, theirs: Sequence[str], ours: Sequence[str]) -> None:
    if tuple(theirs) != tuple(ours):
        raise InputError(
            f"--teacher {place} tells apart {_listed(theirs)}; the data has {_listed(ours)}",
            hint="a teacher of the same classes, or a model's name: its head is fitted on the data",
            teacher=list(theirs),
            data=list(ours),
        )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    shown = ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
    return f"{len(names)} classes ({shown})"
