"""The ladder: a layer that INT8 ruins is found and mended, and nothing is tried that is not needed."""

from __future__ import annotations

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
from edgetl.stages import calibrate, quantize, refine, verify
from edgetl.stages import compile as compile_stage
from tests.quantize import graphs
from tests.quantize.planted import network

Array = npt.NDArray[Any]
HOST = {"cpu": "a test"}
PROFILE = DeviceProfile(name="box", backend="openvino", device="CPU", scheme="openvino-cpu")
PICTURES = {"train": 64, "select": 200, "test": 4}


def ladder(model: Path, cache: Path, *, max_drop: float) -> dict[str, Artifact]:
    """The stages of a build around a model, from its export to the last rung; float is right on every picture."""
    pictures = {role: np.concatenate(list(graphs.pictures(n, seed=n))) for role, n in PICTURES.items()}

    def export(inputs: object, out: Path, ctx: Context) -> dict[str, str]:
        (out / "model.onnx").write_bytes(model.read_bytes())
        return {}

    def prepare(inputs: object, out: Path, ctx: Context) -> dict[str, Any]:
        for role, images in pictures.items():
            labels = np.concatenate([graphs.run(model, picture[None]) for picture in images]).argmax(axis=1)
            np.save(out / f"{role}.npy", images)
            np.save(out / f"{role}.labels.npy", labels)
        return {"preprocess": {}}

    stages = [
        Stage("export", 1, (), {}, {}, export),
        Stage("prepare", 1, ("export",), {}, {}, prepare),
        compile_stage.stage("f32", PROFILE, HOST, source="export"),
        verify.stage("f32", PROFILE, HOST),
        calibrate.stage(64, "minmax", 0),
        quantize.stage("openvino-cpu", "minmax", reduce_range=True),
        *refine.stages(PROFILE, "openvino-cpu", "minmax", HOST, reduce_range=True, max_drop=max_drop, seed=0),
    ]
    return pipeline.run(stages, Cache(cache), Context())


def tried(artifacts: dict[str, Artifact]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = artifacts[refine.final()].record["tried"]
    return found


@pytest.fixture(scope="module")
def mended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """The ladder on the planted network, with a budget of 5 points."""
    home = tmp_path_factory.mktemp("planted")
    return ladder(network(home / "model.onnx", planted=True), home / "cache", max_drop=5.0)


def test_a_planted_layer_is_found_and_left_in_float(mended: dict[str, Artifact]) -> None:
    found = tried(mended)
    assert found[0]["rung"] == "ranges"
    assert found[0]["drop_pt"] > 10, "the plant ruins INT8"
    assert [one["rung"] for one in found[:3]] == ["ranges", "rounding", "float"]
    assert found[-1]["drop_pt"] <= 5.0
    assert found[-1]["kept"] == ["conv_8"], "the layer that reads the channel, and no other"


def test_the_model_that_goes_on_is_the_one_that_won(mended: dict[str, Artifact]) -> None:
    path = mended[refine.final()].path
    assert {file.name for file in path.iterdir()} >= {"model.onnx"}
    assert not list(path.glob("trial*"))
    proto = onnx.load(path / "model.onnx")
    readers = [node for node in proto.graph.node if node.op_type == "Conv" and node.name == "conv_8"]
    made = {name: node.op_type for node in proto.graph.node for name in node.output}
    assert made.get(readers[0].input[0]) != "DequantizeLinear"


def test_nothing_is_tried_where_ranges_are_enough(tmp_path: Path) -> None:
    model = network(tmp_path / "model.onnx", planted=False)
    done = ladder(model, tmp_path / "cache", max_drop=5.0)
    assert [one["rung"] for one in tried(done)] == ["ranges"]
    assert "ranges" in done[refine.final()].record["summary"]
    assert (done[refine.final()].path / "model.onnx").read_bytes() == (
        done["quantize"].path / "model.onnx"
    ).read_bytes()


def test_a_budget_that_nothing_keeps_leaves_the_best_and_says_so(tmp_path: Path) -> None:
    model = network(tmp_path / "model.onnx", planted=True)
    done = ladder(model, tmp_path / "cache", max_drop=-100.0)
    found = tried(done)
    assert found[-1]["rung"] == "float"
    assert "over the budget" in done[refine.final()].record["summary"]
    assert min(one["drop_pt"] for one in found) < found[0]["drop_pt"]


def cut(*given: object, **named: object) -> None:
    raise KeyboardInterrupt


def test_a_ladder_that_was_cut_goes_on_at_its_rung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network(tmp_path / "model.onnx", planted=True)
    with monkeypatch.context() as patched:
        patched.setattr("edgetl.stages.refine.by_layer", cut)
        with pytest.raises(KeyboardInterrupt):
            ladder(model, tmp_path / "cache", max_drop=5.0)
    done = ladder(model, tmp_path / "cache", max_drop=5.0)
    assert done["refine:rounding"].record["_run"]["cached"]
    assert not done["refine:float"].record["_run"]["cached"]
