"""The last rung: a checkpoint is trained on, exported as it was before, and judged like any other model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from edgetl import pipeline
from edgetl.cache import Cache
from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.quantize import schemes
from edgetl.stages import calibrate, export, quantize
from edgetl.stages.ladder import Deadline, Ladder, OutOfTime, Setting, Tuning
from edgetl.stages.tune import try_tuning
from edgetl.transfer import backbone, checkpoint, qat
from edgetl.transfer.checkpoint import Checkpoint
from edgetl.types import BuildSpec
from tests.quantize import graphs

Array = npt.NDArray[Any]

CLASSES = 3
STEPS = 3
PROFILE = DeviceProfile(name="box", backend="openvino", device="CPU", scheme="openvino-cpu")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """A checkpoint of the tiny network, and what a build makes of it up to its first INT8 model."""
    made = backbone.create(BuildSpec(data="", model="tiny", image_size=32, seed=1), CLASSES)
    rng = np.random.default_rng(0)
    pictures = {role: rng.integers(0, 255, (12, 32, 32, 3)).astype(np.uint8) for role in ("train", "select")}

    def train(inputs: object, out: Path, ctx: Context) -> Mapping[str, Any]:
        record = Checkpoint(
            model="tiny",
            method="full",
            classes=tuple("abc"),
            preprocess=made.preprocess,
            normalisation="",
            initial_weights="",
            seed=1,
        )
        checkpoint.save(made.net, record, pictures["train"][:2], out)
        return {}

    def prepare(inputs: object, out: Path, ctx: Context) -> Mapping[str, Any]:
        for role, images in pictures.items():
            np.save(out / f"{role}.npy", images)
            np.save(out / f"{role}.labels.npy", np.arange(len(images)) % CLASSES)
        return {"preprocess": {}}

    def answer(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        feeds = [picture[None] for picture in pictures["select"]]
        np.save(out / "select.npy", graphs.answers(inputs["export"].path / "model.onnx", feeds))
        return {}

    stages = [
        Stage("train", 1, (), {}, {}, train),
        Stage("prepare", 1, (), {}, {}, prepare),
        export.stage(1, from_backbone=False),
        Stage("verify:f32", 1, ("export",), {}, {}, answer),
        calibrate.stage(8, "minmax", 0),
        quantize.stage("openvino-cpu", "minmax", reduce_range=False),
    ]
    return pipeline.run(stages, Cache(tmp_path_factory.mktemp("cache")), Context())


@pytest.fixture
def ladder(
    built: dict[str, Artifact],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Ladder:
    """The rung at work, three steps long, in this process, judged by what ONNX defines; the budget is out of reach."""

    def here(function: str, arguments: Mapping[str, Any], **rest: object) -> object:
        assert function == "edgetl.transfer.qat:run_json"
        return qat.run_json(**arguments)

    def logits_of_model(model: Path, profile: object, pictures: Array) -> Array:
        return graphs.answers(model, [picture[None] for picture in pictures])

    monkeypatch.setattr(qat, "STEPS", STEPS)
    monkeypatch.setattr("edgetl.stages.tune.isolate.call", here)
    monkeypatch.setattr("edgetl.stages.ladder.logits_of_model", logits_of_model)
    tuning = getattr(request, "param", Tuning(1, "full", flip=True, threads=1))
    setting = Setting(PROFILE, schemes.find("openvino-cpu"), "minmax", -100.0, 0, tuning)
    return Ladder(setting, built, "quantize", Deadline(3600.0), Context(), tmp_path)


@pytest.mark.parametrize(
    "ladder",
    [Tuning(1, "full", flip=True, threads=1), Tuning(1, "feature", flip=False, threads=1)],
    ids=["whole", "in parts"],
    indirect=True,
)
def test_a_checkpoint_is_trained_on_and_its_export_is_judged(ladder: Ladder) -> None:
    assert try_tuning(ladder) == ""
    assert [one.what for one in ladder.tries] == [f"tuned for {STEPS} steps"]
    tuned = ladder.scratch / "tuned.onnx"
    assert ladder.setting.tuning is not None
    parts = "head.weight" in {tensor.name for tensor in onnx.load(tuned).graph.initializer}
    assert parts == (ladder.setting.tuning.method == "feature"), "it is exported as the build does"
    before, after = (
        graphs.answers(model, ladder.pictures("select")[:, None]) for model in (ladder.exported, tuned)
    )
    assert 0 < np.abs(after - before).max() < 0.2 * np.abs(before).max()


@pytest.mark.parametrize("ladder", [None], ids=["no checkpoint"], indirect=True)
def test_without_a_checkpoint_the_rung_does_not_apply(ladder: Ladder) -> None:
    assert try_tuning(ladder) == "there is no checkpoint to train on"
    assert not ladder.tries


def test_a_training_that_was_cut_is_judged_and_said_to_be_cut(
    ladder: Ladder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qat, "tune", lambda *given, **named: 1)
    monkeypatch.setattr("edgetl.stages.tune._exported", lambda *given: ladder.exported)
    with pytest.raises(OutOfTime):
        try_tuning(ladder)
    assert [one.what for one in ladder.tries] == ["tuned for 1 steps"]
