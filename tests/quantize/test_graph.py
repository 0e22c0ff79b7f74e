"""Reading a float graph: brought to one form, or refused with one line that says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgetl.errors import InputError
from edgetl.quantize import graph as reading
from edgetl.quantize.observe import input_of, observe
from edgetl.quantize.place import quantize
from edgetl.quantize.schemes import SCHEMES
from tests.quantize import graphs


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        reading.load(path)
    assert "\n" not in caught.value.problem
    assert path.name in caught.value.problem
    return caught.value.problem


def test_a_quantized_model_is_refused(tmp_path: Path) -> None:
    model = graphs.write("residual", tmp_path)
    out = tmp_path / "int8.onnx"
    quantize(model, observe(model, graphs.pictures(2)), SCHEMES["openvino-cpu"], "default", out)
    assert "quantized already" in refusal(out)


def test_an_operator_that_onnx_does_not_define_is_named(tmp_path: Path) -> None:
    b = graphs.Builder()
    b.nodes.append(helper.make_node("Requant", [b.relu_conv()], ["end"], domain="vendor"))
    model = b.model("end")
    model.opset_import.append(helper.make_opsetid("vendor", 1))
    onnx.save(model, tmp_path / "model.onnx")
    assert "vendor.Requant" in refusal(tmp_path / "model.onnx")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_weight_with_nan_or_infinity_is_named(bad: float, tmp_path: Path) -> None:
    b = graphs.Builder()
    out = b.gemm(b.node("Flatten", b.node("GlobalAveragePool", b.relu_conv())), 8)
    broken = numpy_helper.to_array(b.weights[-1]).copy()
    broken[2] = bad
    b.weights[-1].CopyFrom(numpy_helper.from_array(broken, b.weights[-1].name))
    problem = refusal(b.save(tmp_path / "model.onnx", out))
    assert b.weights[-1].name in problem
    assert "NaN" in problem


def test_a_graph_without_weighted_layers_has_nothing_to_quantize(tmp_path: Path) -> None:
    b = graphs.Builder()
    assert "nothing to quantize" in refusal(b.save(tmp_path / "model.onnx", b.node("Relu", b.first)))


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x89PNG\r\n\x1a\n" + b"\0" * 64])
def test_a_file_that_is_no_model_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert "ONNX" in refusal(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "no such" in refusal(tmp_path / "absent.onnx")


def test_weights_in_a_second_file_are_read_and_its_absence_is_told(tmp_path: Path) -> None:
    b = graphs.Builder()
    whole = b.model(b.conv(b.relu_conv(), 8, 8))
    path = tmp_path / "model.onnx"
    onnx.save(whole, path, save_as_external_data=True, location="model.data", size_threshold=0)
    assert (tmp_path / "model.data").stat().st_size > 0
    out = tmp_path / "int8.onnx"
    quantize(path, observe(path, graphs.pictures(4)), SCHEMES["openvino-cpu"], "default", out)
    (tmp_path / "model.data").unlink()
    feed = next(graphs.pictures(1))
    assert graphs.run(out, feed).shape == (1, 8, 16, 16)  # the quantized model is one file
    assert "model.data" in refusal(path)


def test_an_old_opset_is_raised(tmp_path: Path) -> None:
    b = graphs.Builder(opset=9)
    model = b.save(tmp_path / "model.onnx", b.conv(b.relu_conv(), 8, 8))
    out = tmp_path / "int8.onnx"
    quantize(model, observe(model, graphs.pictures(4)), SCHEMES["openvino-cpu"], "default", out)
    assert onnx.load(out).opset_import[0].version >= reading.OPSET
    feed = next(graphs.pictures(1, seed=1))
    assert graphs.snr_db(graphs.run(model, feed), graphs.run(out, feed)) > 25.0


def test_constant_nodes_and_initialisers_that_are_inputs_become_plain_initialisers(tmp_path: Path) -> None:
    b = graphs.Builder()
    model = b.model(b.conv(b.relu_conv(), 8, 8))
    lifted = model.graph.initializer.pop()
    model.graph.node.insert(0, helper.make_node("Constant", [], [lifted.name], value=lifted))
    first = model.graph.initializer[0]
    model.graph.input.append(helper.make_tensor_value_info(first.name, TensorProto.FLOAT, first.dims))
    onnx.save(model, tmp_path / "model.onnx")
    graph = reading.load(tmp_path / "model.onnx")
    assert lifted.name in graph.constants
    assert [value.name for value in graph.model.graph.input] == ["input"]
    assert all(node.op_type != "Constant" for node in graph.model.graph.node)


def test_nodes_without_a_name_get_one_of_their_own(tmp_path: Path) -> None:
    b = graphs.Builder()
    out = b.conv(b.relu_conv(), 8, 8)
    for node in b.nodes:
        node.name = "" if node.op_type == "Conv" else "same"
    graph = reading.load(b.save(tmp_path / "model.onnx", out))
    names = [node.name for node in graph.model.graph.node]
    assert len(set(names)) == len(names)
    assert all(names)


def test_where_and_by_whom_a_model_was_exported_does_not_reach_the_result(tmp_path: Path) -> None:
    b = graphs.Builder()
    model = b.model(b.conv(b.relu_conv(), 8, 8))
    onnx.save(model, tmp_path / "plain.onnx")
    model.producer_name = model.doc_string = model.graph.node[4].doc_string = "/home/someone/net.py"
    onnx.helper.set_model_props(model, {"source": "/home/someone/net.py"})
    onnx.save(model, tmp_path / "told.onnx")
    found = []
    for name in ("plain", "told"):
        path, out = tmp_path / f"{name}.onnx", tmp_path / f"{name}.int8.onnx"
        quantize(path, observe(path, graphs.pictures(2)), SCHEMES["openvino-cpu"], "default", out)
        found.append(out.read_bytes())
    assert found[0] == found[1]
    assert b"someone" not in found[1]


REFUSED = {
    "ext_weights.onnx": "nothing to quantize",
    "loop_opset11.onnx": "nothing to quantize",
    "mlperf_resnet8_customop_opset10.onnx": "'RequantShift'",
    "qdq_conv_opset13.onnx": "quantized already",
    "silero_vad_16k_if_opset15.onnx": "3 inputs",
    "ultraface_slim_320_int8_qoperator.onnx": "quantized already",
}
QUANTIZED = (
    "residual_block_dynbatch_opset11.onnx",
    "tinyvit_demo_opset20.onnx",
    "ultraface_slim_320_opset9.onnx",
    "yunet_2022mar_opset11.onnx",
)


def test_every_real_file_is_one_that_these_tests_know(shared: Path) -> None:
    found = {path.name for path in (shared / "data/onnx").rglob("*.onnx")}
    assert found == {*REFUSED, *QUANTIZED}


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_a_real_file_that_cannot_be_quantized_is_refused_in_one_line(
    name: str, reason: str, shared: Path
) -> None:
    path = next((shared / "data/onnx").rglob(name))
    with pytest.raises(InputError) as caught:
        input_of(path)
    assert reason in caught.value.problem
    assert name in caught.value.problem
    assert "\n" not in caught.value.problem


@pytest.mark.parametrize("scheme", ["openvino-cpu", "tensorrt"])
@pytest.mark.parametrize("name", QUANTIZED)
def test_a_real_file_is_quantized_and_runs(name: str, scheme: str, shared: Path, tmp_path: Path) -> None:
    path = next((shared / "data/onnx").rglob(name))
    spec = input_of(path)
    rng = np.random.default_rng(0)
    feeds = [rng.normal(size=[dim or 1 for dim in spec.shape]).astype(spec.dtype) for _ in range(4)]
    out = tmp_path / "int8.onnx"
    report = quantize(path, observe(path, feeds), SCHEMES[scheme], "default", out)
    assert report.quantized > 0
    assert graphs.snr_db(graphs.run(path, feeds[0]), graphs.run(out, feeds[0])) > 15.0
