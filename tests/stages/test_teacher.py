"""Where a teacher comes from, and which are refused before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgetl import devices, digest
from edgetl.errors import BundleError, InputError
from edgetl.pipeline import Stage
from edgetl.stages import teacher, training
from edgetl.stages.train import Setting
from edgetl.transfer import backbone, checkpoint
from edgetl.transfer.checkpoint import Checkpoint
from edgetl.types import BuildSpec
from tests import handmade

CLASSES = tuple(sorted(handmade.CENTRES))
SPEC = BuildSpec(data="", model="tiny", method="distill")


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """Where nothing is trained."""
    return Setting(tmp_path, tmp_path, {}, 1)


def stages(setting: Setting, classes: tuple[str, ...] = CLASSES, **asked: Any) -> list[Stage]:
    """The stages of a request for a data set with these classes: those of the bundle made by hand."""
    profile = devices.load().find("intel-cpu")
    return teacher.stages(msgspec.structs.replace(SPEC, **asked), setting, profile, classes)


def written(folder: Path, classes: tuple[str, ...]) -> Path:
    """A checkpoint as edgetl train writes it."""
    made = backbone.create(BuildSpec(data="", model="tiny", image_size=32), len(classes))
    record = Checkpoint(
        model="tiny",
        method="full",
        classes=classes,
        preprocess=made.preprocess,
        normalisation="",
        initial_weights="",
        seed=0,
    )
    folder.mkdir()
    checkpoint.save(made.net, record, np.zeros((1, 32, 32, 3), np.uint8), folder)
    return folder


def bundled(folder: Path) -> Path:
    """A bundle whose classes are ``CLASSES``."""
    return handmade.write_bundle(folder / "bundle", handmade.write_pictures(folder / "pictures"))


def test_without_a_teacher_the_same_backbone_is_trained_first_and_that_is_said(setting: Setting) -> None:
    (stage,) = stages(setting)
    assert stage.name == "teacher" and stage.kind == "train" and stage.options["method"] == "full"
    told = stage.told({"summary": "tiny, all weights"})["summary"]
    assert told.startswith("none was given, so the same backbone") and told.endswith("tiny, all weights")


def test_a_named_model_is_fitted_on_features_at_its_own_size(setting: Setting) -> None:
    made = stages(setting, model="resnet18", image_size=64, teacher="tiny", batch="dynamic")
    assert [stage.name for stage in made] == [
        "teacher:backbone",
        "teacher:prepare",
        "teacher:features",
        "teacher",
    ]
    first, last = made[0], made[-1]
    assert first.options["model"] == "tiny" and first.options["image_size"] is None
    assert last.options["method"] == "feature"
    assert {last.reads[need] for need in last.needs if need in last.reads} == {
        "teacher:backbone",
        "teacher:prepare",
        "teacher:features",
    }


def test_a_checkpoint_and_a_bundle_are_told_by_their_contents(setting: Setting, tmp_path: Path) -> None:
    place = written(tmp_path / "given", CLASSES)
    (stage,) = stages(setting, teacher=str(place))
    assert stage.options["weights"] == digest.of_file(place / "model.safetensors")
    bundle = bundled(tmp_path)
    (stage,) = stages(setting, teacher=str(bundle))
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert stage.options["manifest"] == manifest["sha256"]
    assert str(tmp_path) not in json.dumps(dict(stage.options))


@pytest.mark.parametrize("kind", ["checkpoint", "bundle"])
def test_a_teacher_of_other_classes_is_refused_and_both_are_named(
    setting: Setting, tmp_path: Path, kind: str
) -> None:
    place = written(tmp_path / "x", CLASSES) if kind == "checkpoint" else bundled(tmp_path)
    with pytest.raises(InputError) as caught:
        stages(setting, ("cats", "dogs"), teacher=str(place))
    assert "cats, dogs" in caught.value.problem and CLASSES[0] in caught.value.problem
    assert caught.value.facts["data"] == ["cats", "dogs"]


def test_a_bundle_with_a_changed_byte_is_no_teacher(setting: Setting, tmp_path: Path) -> None:
    bundle = bundled(tmp_path)
    (bundle / "labels.json").write_bytes(b"[]\n")
    with pytest.raises(BundleError, match=r"labels\.json"):
        stages(setting, teacher=str(bundle))


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"teacher": "resnet81"}, "Did you mean 'resnet18'"),
        ({"teacher": "resnet18", "teacher_weights": "none"}, "random weights"),
        ({"teacher": "somewhere.nets:factory"}, "random weights"),
        ({"teacher": "{empty}"}, "neither a bundle nor a checkpoint"),
        ({"teacher": "{broken}"}, "not what edgetl train writes"),
        ({"teacher": "tiny", "teacher_weights": "gone.pth"}, "no such weights file"),
    ],
)
def test_what_nothing_can_be_learned_from_is_refused(
    setting: Setting, tmp_path: Path, asked: dict[str, Any], problem: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "checkpoint.json").write_text("{}")
    places = {"empty": tmp_path / "empty", "broken": tmp_path / "broken"}
    with pytest.raises(InputError, match=problem):
        stages(setting, **{name: value.format(**places) for name, value in asked.items()})


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"method": "full", "teacher": "tiny"}, "--method full has no teacher"),
        ({"method": "feature", "teacher_weights": "x.pth"}, "--method feature has no teacher"),
        ({"method": "distill", "teacher_weights": "x.pth"}, "none was given"),
        ({"method": "distill", "kd_temperature": 0.0}, "--kd-temperature 0 is not a temperature"),
        ({"method": "distill", "kd_temperature": float("nan")}, "--kd-temperature nan"),
        ({"method": "full", "kd_temperature": 4.0}, "--method full softens no answers"),
        ({"method": "feature", "seeds": 2}, "no spread to show"),
        ({"method": "full", "compare": "scrath"}, "--compare 'scrath'"),
        ({"method": "full", "compare": "scratch", "weights": "none"}, "--weights none has none"),
        ({"method": "full", "compare": "scratch", "model": "a.b:make"}, "a.b:make without a weights file"),
    ],
)
def test_options_that_a_method_does_not_take_are_refused(asked: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        training.check(msgspec.structs.replace(SPEC, **asked))
