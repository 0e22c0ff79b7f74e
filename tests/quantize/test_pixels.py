"""Pixels are cast before they are moved, and the graph answers what it did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from edgetl.quantize import graph as graphs
from edgetl.quantize import pixels

FLAT = helper.make_node("Reshape", ["input", "flat"], ["rows"])
BACK = helper.make_node("Reshape", ["rows", "square"], ["pictures"])
PLANES = helper.make_node("Transpose", ["input"], ["planes"], perm=[0, 3, 1, 2])


def graph(nodes: Sequence[onnx.NodeProto], moved: str, file: Path) -> onnx.ModelProto:
    """A graph whose pixels go through ``nodes``, a cast and a doubling."""
    cast = helper.make_node("Cast", [moved], ["floats"], to=TensorProto.FLOAT)
    double = helper.make_node("Add", ["floats", "floats"], ["out"])
    constants = [
        helper.make_tensor("flat", TensorProto.INT64, [2], [1, 48]),
        helper.make_tensor("square", TensorProto.INT64, [4], [1, 4, 4, 3]),
    ]
    taken = helper.make_tensor_value_info("input", TensorProto.UINT8, [1, 4, 4, 3])
    given = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    proto = helper.make_graph([*nodes, cast, double], "g", [taken], [given], constants)
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(onnx.shape_inference.infer_shapes(model), file)
    return onnx.load(file)


def answer(model: onnx.ModelProto) -> np.ndarray:
    """What it says of some pixels."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    picture = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
    found: np.ndarray = session.run(None, {"input": picture})[0]
    return found


@pytest.mark.parametrize(
    ("nodes", "moved"), [([FLAT], "rows"), ([FLAT, BACK], "pictures"), ([PLANES], "planes")]
)
def test_the_cast_comes_first_and_values_are_the_same(
    nodes: list[onnx.NodeProto], moved: str, tmp_path: Path
) -> None:
    model = graph(nodes, moved, tmp_path / "m.onnx")
    before = answer(model)
    assert pixels.cast_first(model)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node if "input" in node.input] == ["Cast"]
    assert np.array_equal(answer(model), before)
    assert not pixels.cast_first(model)


def test_what_stands_right_or_branches_is_left_alone(tmp_path: Path) -> None:
    right = graph([], "input", tmp_path / "m.onnx")
    branch = helper.make_node("Identity", ["input"], ["other"])
    branching = graph([FLAT, branch], "rows", tmp_path / "b.onnx")
    computed = graph([helper.make_node("Max", ["input"], ["rows"])], "rows", tmp_path / "c.onnx")
    for model in (right, branching, computed):
        before = model.SerializeToString(deterministic=True)
        assert not pixels.cast_first(model)
        assert model.SerializeToString(deterministic=True) == before


def test_a_graph_keeps_its_look_ups_or_gets_new_ones(tmp_path: Path) -> None:
    graph([FLAT], "rows", tmp_path / "m.onnx")
    loaded = graphs.read(tmp_path / "m.onnx")
    changed = pixels.with_cast_first(loaded)
    assert changed.producer["floats"].op_type == "Reshape"
    assert changed.kind("floats") == TensorProto.FLOAT
    assert pixels.with_cast_first(changed) is changed
