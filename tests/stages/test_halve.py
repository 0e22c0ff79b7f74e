"""halve: the strongly typed model of a build, judged by an engine before anyone takes it to a board."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from edgetl import pipeline
from edgetl.cache import Cache
from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.stages import calibrate, halve, quantize, verify
from edgetl.stages import compile as compile_stage
from tests.quantize import graphs

HOST = {"cpu": "a test"}
STAND_IN = DeviceProfile(name="board", backend="onnxruntime", device="CPU", scheme="tensorrt")
PICTURES = {"train": 16, "select": 24, "test": 4}


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """The stages of a build for TensorRT round a small residual network."""
    home = tmp_path_factory.mktemp("halve")
    b = graphs.Builder()
    last = b.node("GlobalAveragePool", graphs.CASES["residual"](b))
    model = b.save(home / "model.onnx", b.gemm(b.node("Flatten", last), 8))

    def export(inputs: object, out: Path, ctx: Context) -> dict[str, str]:
        (out / "model.onnx").write_bytes(model.read_bytes())
        return {}

    def prepare(inputs: object, out: Path, ctx: Context) -> dict[str, Any]:
        for role, count in PICTURES.items():
            images = np.concatenate(list(graphs.pictures(count, seed=count)))
            np.save(out / f"{role}.npy", images)
            np.save(out / f"{role}.labels.npy", np.zeros(count, np.int64))
        return {"preprocess": {}}

    stages = [
        Stage("export", 1, (), {}, {}, export),
        Stage("prepare", 1, ("export",), {}, {}, prepare),
        compile_stage.stage("f32", STAND_IN, HOST, source="export"),
        verify.stage("f32", STAND_IN, HOST),
        calibrate.stage(16, "default", 0),
        quantize.stage("tensorrt", "default", reduce_range=False),
        halve.stage("quantize", STAND_IN, HOST),
    ]
    return pipeline.run(stages, Cache(home / "cache"), Context())


def test_the_model_has_half_types_and_answers(halved: dict[str, Artifact]) -> None:
    graph = onnx.load(halved["halve"].path / "model.onnx").graph
    assert TensorProto.FLOAT16 in {tensor.data_type for tensor in graph.initializer}
    record = halved["halve"].record
    assert record["n"] == PICTURES["select"]
    assert record["agreement"] >= 0.9
    assert record["snr_db"] > 20


def test_what_stays_in_float32_is_in_the_record(halved: dict[str, Artifact]) -> None:
    record = halved["halve"].record
    assert record["half"] > 0
    assert {node["op"] for node in record["single"]} == {"Cast", "Transpose", "Mul", "Add"}
    assert all(node["reason"] for node in record["single"])
    assert f"{record['half']} of {record['half'] + len(record['single'])} nodes in FP16" in record["summary"]
