"""fuse: a model of a build with its head in one node, and what of it a bundle holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgetl import pipeline, recipe
from edgetl.cache import Cache
from edgetl.errors import EnvironmentLacks, InputError
from edgetl.pipeline import Context, Stage
from edgetl.quantize.fused_head import fused_node
from edgetl.stages import fuse
from edgetl.types import BuildSpec
from tests.quantize import graphs


def artifacts(home: Path, *, fits: bool = True) -> Any:
    """The stage after those that it reads."""

    def export(inputs: object, out: Path, ctx: Context) -> dict[str, str]:
        b = graphs.Builder()
        pooled = b.node("GlobalAveragePool" if fits else "GlobalMaxPool", b.relu_conv(8))
        b.save(out / "model.onnx", b.gemm(b.node("Flatten", pooled), 8))
        return {}

    def prepare(inputs: object, out: Path, ctx: Context) -> dict[str, str]:
        np.save(out / "select.npy", np.concatenate(list(graphs.pictures(7))))
        return {}

    stages = [
        Stage("export", 1, (), {}, {}, export),
        Stage("prepare", 1, (), {}, {}, prepare),
        fuse.stage("export"),
    ]
    return pipeline.run(stages, Cache(home / "cache"), Context())


def test_it_is_held_against_the_plain_model_on_the_builds_own_pictures(tmp_path: Path) -> None:
    made = artifacts(tmp_path)["fuse:export"]
    assert fused_node(onnx.load(made.path / "model.onnx")) is not None
    record = made.record
    assert (record["file"], record["n"], record["classes"]) == ("model.fp32.fused.onnx", 7, 5)
    assert record["rewriting"] < 1e-5
    assert record["summary"] == "head of 8 x 5 in one node, 100 % of 7 select images as before"


def test_a_head_of_another_form_ends_the_build(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found GlobalMaxPool"):
        artifacts(tmp_path, fits=False)


def test_a_device_without_tensorrt_is_refused_before_work_begins(tmp_path: Path) -> None:
    spec = BuildSpec(data="demo", device="intel-cpu", fused_head=True)
    with pytest.raises(
        InputError, match="--fused-head is for a GPU with TensorRT, intel-cpu is openvino CPU"
    ):
        recipe.show_plan(spec, cache=tmp_path / "cache")


def test_where_the_engine_is_built_the_library_is_asked_for_before_work_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgetl.target.where_it_runs", lambda profile, hosts=(): (profile, None))
    spec = BuildSpec(data="demo", device="jetson", fused_head=True)
    with pytest.raises(EnvironmentLacks, match=r"a fused head runs in libedgetl_plugin\.so"):
        recipe.show_plan(spec, cache=tmp_path / "cache")


def test_f32_stays_plain_and_the_others_are_compiled_from_the_fused_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgetl.target.where_it_runs", lambda profile, hosts=(): (profile, None))
    monkeypatch.setattr("edgetl.target.check_fused", lambda profile, pending: None)
    spec = BuildSpec(data="demo", device="jetson", model="tiny", fused_head=True)
    stages = recipe.plan_recipe(spec, Cache(tmp_path / "cache")).stages
    reads = {stage.name: stage.needs for stage in stages}
    assert reads["compile:f32"] == ("export",)
    assert reads["compile:default"] == ("fuse:export",)
    (source,) = reads["compile:int8"]
    assert source.startswith("fuse:refine") or source == "fuse:halve"
    names = [stage.name for stage in stages]
    assert names.index("fuse:export") == names.index("export") + 1, "what does not fit is told early"
