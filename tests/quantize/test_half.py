"""A graph with FP16 types answers like the one it came from, and names what it does not trust FP16 with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from edgetl.errors import InputError
from edgetl.quantize import place
from edgetl.quantize.graph import read
from edgetl.quantize.half import HalfReport, write_half
from edgetl.quantize.lint import lint
from edgetl.quantize.observe import observe
from edgetl.quantize.schemes import SCHEMES
from tests.quantize import graphs

PIXELS = ["Transpose", "Cast", "Mul", "Add"]
"""The preprocessing of every graph of the tests: what touches floats of it stays in float32."""


def halved(model: Path, *, quantized: bool) -> tuple[Path, Path, HalfReport]:
    """What a model is turned into FP16 from, the result, and the report."""
    seen, source, out = observe(model, graphs.pictures(8)), model, model.with_name("half.onnx")
    if quantized:
        source = model.with_name("int8.onnx")
        place.quantize(model, seen, SCHEMES["tensorrt"], "default", source)
    return source, out, write_half(source, seen.ranges, out)


def reasons(report: HalfReport) -> dict[str, str]:
    """Operator -> why, of the nodes behind the preprocessing that stay in float32."""
    return {node.op: node.reason for node in report.single if not node.reason.startswith("before the first")}


def layers(out: Path) -> set[int]:
    """Element types that the weighted nodes of a graph give."""
    graph = read(out)
    return {graph.kind(node.output[0]) for node in graph.model.graph.node if node.op_type in ("Conv", "Gemm")}


@pytest.mark.parametrize("case", graphs.CASES)
@pytest.mark.parametrize("quantized", [True, False], ids=["int8", "float"])
def test_it_answers_like_the_float32_graph(case: str, quantized: bool, tmp_path: Path) -> None:
    source, out, report = halved(graphs.write(case, tmp_path), quantized=quantized)
    for picture in graphs.pictures(4, seed=1):
        answer = graphs.run(out, picture)
        assert answer.dtype == np.float32, "what it gives keeps its type"
        assert graphs.snr_db(graphs.run(source, picture), answer) > 35.0
    proto = onnx.load(out)
    assert proto.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
    assert reasons(report) == {}
    first = ["Cast", "Transpose", "Mul", "Add"] if quantized else PIXELS[1:]  # a move of uint8 is in no float
    assert [node.op for node in report.single if node.op in PIXELS] == first
    assert report.opset >= 19
    assert TensorProto.FLOAT not in layers(out)
    if quantized:
        assert lint(out, "tensorrt") == []


def test_the_bytes_are_the_same_every_time(tmp_path: Path) -> None:
    model = graphs.write("residual", tmp_path)
    first = halved(model, quantized=True)[1].read_bytes()
    assert halved(model, quantized=True)[1].read_bytes() == first


def test_a_second_application_is_refused(tmp_path: Path) -> None:
    _, out, _ = halved(graphs.write("residual", tmp_path), quantized=True)
    with pytest.raises(InputError, match="has FP16 types already"):
        write_half(out, {}, tmp_path / "again.onnx")
    assert not (tmp_path / "again.onnx").exists()


def large_channel(b: graphs.Builder) -> str:
    """A layer whose answers reach 1e5, and one that makes them ordinary again."""
    big = b.node("Relu", b.conv(b.relu_conv(), 8, 8))
    multiply(b.weights[-2], 1e5)
    multiply(b.weights[-1], 1e5)
    last = b.conv(big, 8, 8)
    multiply(b.weights[-1], 1e-5)
    return last


def multiply(tensor: onnx.TensorProto, factor: float) -> None:
    array = onnx.numpy_helper.to_array(tensor) * np.float32(factor)
    tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))


@pytest.mark.parametrize("quantized", [True, False], ids=["int8", "float"])
def test_what_exceeds_half_stays_in_float32_and_is_named(quantized: bool, tmp_path: Path) -> None:
    b = graphs.Builder()
    source, out, report = halved(b.save(tmp_path / "model.onnx", large_channel(b)), quantized=quantized)
    kept = {node.name: node.reason for node in report.single if node.op in ("Conv", "Relu")}
    assert list(kept) == ["conv_6", "relu_7", "conv_8"], "the layer, its Relu and the one that reads them"
    assert "FP16 holds 65504" in kept["conv_6"]
    assert "FP16 holds 65504" in kept["relu_7"]
    for picture in graphs.pictures(4, seed=1):
        assert graphs.snr_db(graphs.run(source, picture), graphs.run(out, picture)) > 35.0


def test_a_range_that_nothing_tells_stays_in_float32(tmp_path: Path) -> None:
    b = graphs.Builder()
    source = b.relu_conv()
    quotient = b.node("Div", source, b.node("Add", source, b.const(1.0)))
    model = b.save(tmp_path / "model.onnx", b.conv(quotient, 8, 8))
    report = write_half(model, {}, tmp_path / "half.onnx")
    assert reasons(report)["Div"] == f"the range of {quotient!r} is not known"
    seen = observe(model, graphs.pictures(4)).ranges
    assert reasons(write_half(model, seen, tmp_path / "half.onnx")) == {}


def softmax(b: graphs.Builder) -> str:
    return b.node("Softmax", graphs.CASES["gemm"](b), axis=1)


def huge_constant(b: graphs.Builder) -> str:
    return b.node("Div", b.node("Mul", b.relu_conv(), b.const(1e6)), b.const(1e6))


def epsilon(b: graphs.Builder) -> str:
    return b.node("Div", b.const(1.0), b.node("Add", b.relu_conv(), b.const(1e-12)))


def wide_mean(b: graphs.Builder) -> str:
    """Its mean is small, the sum that it is made of is not."""
    raised = b.node("Mul", b.relu_conv(), b.const(100.0))
    return b.node("GlobalAveragePool", raised)


@pytest.mark.parametrize(
    ("net", "op", "why"),
    [
        (softmax, "Softmax", "loses digits"),
        (huge_constant, "Mul", "reaches 1e"),
        (epsilon, "Add", "few digits or none"),
        (wide_mean, "GlobalAveragePool", "adds 256 values"),
    ],
)
def test_what_half_is_not_precise_enough_for_is_named(
    net: Callable[[graphs.Builder], str], op: str, why: str, tmp_path: Path
) -> None:
    b = graphs.Builder()
    source, out, report = halved(b.save(tmp_path / "model.onnx", net(b)), quantized=False)
    assert why in reasons(report)[op]
    for picture in graphs.pictures(2, seed=1):
        assert graphs.snr_db(graphs.run(source, picture), graphs.run(out, picture)) > 35.0


def test_values_that_vanish_in_half_are_counted(tmp_path: Path) -> None:
    b = graphs.Builder()
    faint = np.concatenate([np.full(7, 0.5), [1e-9]]).reshape(1, 8, 1, 1)
    name = b.const(faint, "faint")
    model = b.save(tmp_path / "model.onnx", b.conv(b.node("Mul", b.relu_conv(), name), 8, 8))
    assert halved(model, quantized=False)[2].vanished == {"faint": 1}


def test_pixels_end_at_the_first_pair_though_they_are_moved_behind_it(tmp_path: Path) -> None:
    b = graphs.Builder()
    flat = b.node("Reshape", b.first, b.const(np.array([1, -1])))
    back = b.node("Reshape", flat, b.const(np.array([1, 3, graphs.SIDE, graphs.SIDE])))
    _, out, report = halved(b.save(tmp_path / "model.onnx", b.conv(back, 3, 8)), quantized=True)
    assert reasons(report) == {}
    assert lint(out, "tensorrt") == []
    assert report.casts == 1, "of the answer"


def test_a_bias_that_is_next_to_nothing_keeps_no_layer_in_float32(tmp_path: Path) -> None:
    b = graphs.Builder()
    end = b.conv(b.relu_conv(), 8, 8)
    multiply(b.weights[-2], 1e-6)
    _, out, report = halved(b.save(tmp_path / "model.onnx", end), quantized=False)
    assert reasons(report) == {}
    assert TensorProto.FLOAT not in layers(out)


def test_branches_keep_reading_float32(tmp_path: Path) -> None:
    b = graphs.Builder()
    inner = b.relu_conv()
    end = onnx.helper.make_tensor_value_info("doubled", TensorProto.FLOAT, None)
    body = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", [inner, inner], ["doubled"])], "then", [], [end]
    )
    yes = b.const(np.array(1))
    chosen = b.node("If", b.node("Cast", yes, to=TensorProto.BOOL), then_branch=body, else_branch=body)
    source, out, report = halved(b.save(tmp_path / "model.onnx", b.conv(chosen, 8, 8)), quantized=False)
    assert reasons(report)["If"] == "control flow"
    picture = next(graphs.pictures(1, seed=1))
    assert graphs.snr_db(graphs.run(source, picture), graphs.run(out, picture)) > 35.0


def test_what_predicts_a_value_keeps_its_digits(tmp_path: Path) -> None:
    model = graphs.write(next(iter(graphs.CASES)), tmp_path)
    last = onnx.load(model).graph.node[-1]
    seen, out = observe(model, graphs.pictures(8)), tmp_path / "half.onnx"
    report = write_half(model, seen.ranges, out, precise=[last.name])
    assert reasons(report) == {last.op_type: "it predicts a value, which keeps its digits"}
    assert {node.name for node in onnx.load(out).graph.node} >= {last.name}
