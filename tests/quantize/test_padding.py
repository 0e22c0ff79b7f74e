"""A Pad before a convolution becomes its padding; any other stays, and the answers do not change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgetl.quantize import graph as reading
from tests.quantize import graphs
from tests.quantize.graphs import Builder

SIDES = np.array([0, 0, 1, 0, 0, 0, 2, 1])  # (N, C, H, W) at the beginning, then at the end


def _written_out(b: Builder) -> str:
    return b.node("Pad", b.relu_conv(), b.const(SIDES))


def _put_together(b: Builder) -> str:
    """As torch's exporter writes it: pairs from the last axis on, zeros added, turned round."""
    pairs = b.node("Concat", b.const(SIDES[[7, 3, 6, 2]][[1, 0, 3, 2]]), _zeros(b, 4), axis=0)
    rows = b.node("Reshape", pairs, b.const(np.array([-1, 2])))
    turned = b.node("Slice", rows, *(b.const(np.array([value])) for value in (-1, -(2**63), 0, -1)))
    flat = b.node("Reshape", b.node("Transpose", turned, perm=[1, 0]), b.const(np.array([-1])))
    return b.node("Pad", b.relu_conv(), b.node("Cast", flat, to=onnx.TensorProto.INT64), b.const(0.0))


def _zeros(b: Builder, count: int) -> str:
    value = onnx.numpy_helper.from_array(np.array([0], np.int64))
    return b.node("ConstantOfShape", b.const(np.array([count])), value=value)


def _with_axes(b: Builder) -> str:
    return b.node("Pad", b.relu_conv(), b.const(SIDES[[2, 3, 6, 7]]), "", b.const(np.array([-2, 3])))


def _with_a_value(b: Builder) -> str:
    return b.node("Pad", b.relu_conv(), b.const(SIDES), b.const(1.0))


def _mirrored(b: Builder) -> str:
    return b.node("Pad", b.relu_conv(), b.const(SIDES), mode="reflect")


def _cropping(b: Builder) -> str:
    return b.node("Pad", b.relu_conv(), b.const(-SIDES))


def _of_channels(b: Builder) -> str:
    return b.node("Pad", b.relu_conv(7), b.const(np.array([0, 0, 1, 1, 0, 1, 1, 1])))


def _read_twice(b: Builder) -> str:
    padded = b.node("Pad", b.relu_conv(), b.const(SIDES))
    return b.node("Add", padded, b.node("Sigmoid", padded))


def _model(make: Callable[[Builder], str], folder: Path, **attributes: object) -> Path:
    b = Builder(opset=18)
    weights = b.const(b.rng.normal(0, 0.2, (8, 8, 3, 3)))
    return b.save(folder / "model.onnx", b.node("Conv", make(b), weights, **attributes))


def _loaded(model: Path) -> list[onnx.NodeProto]:
    """The nodes of the common form, which answers as the model does."""
    graph = reading.load(model)
    saved = model.with_name("loaded.onnx")
    reading.save(graph.model, model, saved)
    feed = next(graphs.pictures(1))
    np.testing.assert_allclose(graphs.run(saved, feed), graphs.run(model, feed), atol=1e-5)
    return list(graph.model.graph.node)


@pytest.mark.parametrize("make", [_written_out, _put_together, _with_axes])
@pytest.mark.parametrize("attributes", [{}, {"pads": [1, 0, 2, 3]}, {"auto_pad": "VALID"}])
def test_zeros_around_a_picture_become_padding(
    make: Callable[[Builder], str], attributes: dict[str, object], tmp_path: Path
) -> None:
    nodes = _loaded(_model(make, tmp_path, **attributes))
    assert "Pad" not in {node.op_type for node in nodes}
    own = attributes.get("pads", [0] * 4)
    assert isinstance(own, list)
    expected = [a + b for a, b in zip([1, 0, 2, 1], own, strict=True)]
    assert next(list(a.ints) for a in nodes[-1].attribute if a.name == "pads") == expected


@pytest.mark.parametrize("make", [_with_a_value, _mirrored, _cropping, _of_channels, _read_twice])
def test_any_other_pad_stays(make: Callable[[Builder], str], tmp_path: Path) -> None:
    assert "Pad" in {node.op_type for node in _loaded(_model(make, tmp_path))}


def test_a_convolution_that_pads_by_its_shape_keeps_the_pad_before_it(tmp_path: Path) -> None:
    assert "Pad" in {node.op_type for node in _loaded(_model(_written_out, tmp_path, auto_pad="SAME_UPPER"))}


@pytest.mark.parametrize("axes", [[-1], []], ids=["the last", "none"])
def test_a_sequence_keeps_the_pad_before_its_convolution(axes: list[int], tmp_path: Path) -> None:
    b = Builder(opset=18)
    rows = b.node(
        "Squeeze", b.node("ReduceMean", b.relu_conv(), b.const(np.array([2]))), b.const(np.array([2]))
    )
    sides = b.const(np.array([1, 2] * len(axes), np.int64))
    padded = b.node("Pad", rows, sides, "", b.const(np.array(axes, np.int64)))
    nodes = _loaded(
        b.save(tmp_path / "model.onnx", b.node("Conv", padded, b.const(b.rng.normal(0, 0.2, (8, 8, 3)))))
    )
    assert "Pad" in {node.op_type for node in nodes}


def test_numbers_are_folded_only_where_they_are_few(tmp_path: Path) -> None:
    b = Builder(opset=18)
    many = b.node("ConstantOfShape", b.const(np.array([1, 8, 16, 16])))
    nodes = _loaded(b.save(tmp_path / "model.onnx", b.node("Add", b.relu_conv(), many)))
    assert "ConstantOfShape" in {node.op_type for node in nodes}
