"""Operations, bytes and launches of a graph, against sums by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgetl.advise.cost import of_model
from edgetl.errors import InputError


def saved(folder: Path, *, batch: int | str = 1) -> Path:
    """A 3 x 3 convolution, ReLU, a depthwise and a 1 x 1 convolution, pooling, a matrix product."""
    weights = {"spatial": (8, 3, 3, 3), "depth": (8, 1, 3, 3), "point": (16, 8, 1, 1), "dense": (5, 16)}
    constants = [numpy_helper.from_array(np.ones(s, np.float32), n) for n, s in weights.items()]
    nodes = [
        helper.make_node("Conv", ["input", "spatial"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "depth"], ["c"], pads=[1, 1, 1, 1], group=8, strides=[2, 2]),
        helper.make_node("Conv", ["c", "point"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "dense"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 5])],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), folder / "net.onnx")
    return folder / "net.onnx"


def test_each_kind_is_counted_apart(tmp_path: Path) -> None:
    found = of_model(saved(tmp_path))
    assert found.spatial == 8 * 64 * 27
    assert found.depthwise == 8 * 16 * 9
    assert found.pointwise == 16 * 16 * 8
    assert found.dense == 16 * 5
    assert found.weights == 8 * 27 + 8 * 9 + 16 * 8 + 5 * 16
    assert found.moved == (3 * 64 + 8 * 64) + (8 * 64 + 8 * 16) + (8 * 16 + 16 * 16) + (16 + 5)
    assert found.others == 16 * 16 + 16
    assert found.launches == 5


def test_a_graph_whose_shapes_are_open_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not fixed"):
        of_model(saved(tmp_path, batch="N"))
