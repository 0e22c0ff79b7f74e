"""What exporters of all kinds write: every way ends in the layers that it stands for, and they are quantized."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgetl.errors import InputError
from edgetl.quantize import graph as reading
from edgetl.quantize.observe import observe
from edgetl.quantize.place import QuantizeReport, quantize
from edgetl.quantize.schemes import SCHEMES
from tests.quantize import graphs
from tests.quantize.graphs import Builder


def quantized(model: Path, scheme: str = "openvino-cpu") -> tuple[QuantizeReport, float]:
    """The report, and the signal to noise of what the quantized model answers."""
    feeds = list(graphs.pictures(4))
    seen = observe(model, feeds)
    out = model.with_name("int8.onnx")
    report = quantize(model, seen, SCHEMES[scheme], "minmax", out)
    return report, graphs.snr_db(graphs.run(model, feeds[0]), graphs.run(out, feeds[0]))


def _with_identities(b: Builder) -> str:
    weights = b.node("Identity", b.const(b.rng.normal(0, 0.2, (8, 8, 3, 3))))
    source = b.node("Identity", b.relu_conv())
    return b.node("Identity", b.node("Conv", source, weights, pads=[1] * 4))


def _with_dropout(b: Builder) -> str:
    return b.conv(b.node("Dropout", b.relu_conv()), 8, 8)


def _with_transposed_weights(b: Builder) -> str:
    flat = b.node("Flatten", b.node("GlobalAveragePool", b.relu_conv(32)))
    return b.node("MatMul", flat, b.node("Transpose", b.const(b.rng.normal(0, 0.2, (5, 32)))))


def _with_half_weights(b: Builder) -> str:
    half = numpy_helper.from_array(b.rng.normal(0, 0.2, (8, 8, 3, 3)).astype(np.float16), "half")
    b.weights.append(half)
    return b.node("Conv", b.relu_conv(), b.node("Cast", "half", to=TensorProto.FLOAT), pads=[1] * 4)


def _with_normalisation(b: Builder) -> str:
    source = b.relu_conv()
    for _ in range(2):
        parameters = [b.const(b.rng.uniform(0.5, 1.5, 8)) for _ in range(4)]
        source = b.node("Relu", b.node("BatchNormalization", b.conv(source, 8, 8), *parameters))
    return source


def _with_sum(b: Builder) -> str:
    source = b.relu_conv()
    return b.node("Sum", b.conv(source, 8, 8), b.conv(source, 8, 8))


def _grouped(b: Builder) -> str:
    return b.conv(b.node("Relu", b.conv(b.relu_conv(), 8, 8, group=4)), 8, 8, group=8)


WAYS: dict[str, tuple[Callable[[Builder], str], int]] = {
    "identities": (_with_identities, 2),
    "dropout": (_with_dropout, 2),
    "transposed weights": (_with_transposed_weights, 2),
    "weights stored in half": (_with_half_weights, 2),
    "batch normalisation": (_with_normalisation, 3),
    "a sum of two": (_with_sum, 3),
    "groups": (_grouped, 3),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_writing_a_layer_is_quantized(way: str, tmp_path: Path) -> None:
    build, layers = WAYS[way]
    b = Builder()
    report, ratio = quantized(b.save(tmp_path / "model.onnx", build(b)))
    assert report.quantized == report.quantizable == layers
    assert ratio > 25.0


def test_normalisation_goes_into_its_convolution_and_a_sum_becomes_an_add(tmp_path: Path) -> None:
    b = Builder()
    graph = reading.load(b.save(tmp_path / "model.onnx", _with_normalisation(b)))
    assert [node.op_type for node in graph.model.graph.node].count("BatchNormalization") == 0
    b = Builder()
    report, _ = quantized(b.save(tmp_path / "sum.onnx", _with_sum(b)))
    assert report.float_operators == {}


def test_a_normalisation_of_a_tensor_that_others_read_stays(tmp_path: Path) -> None:
    b = Builder()
    source = b.conv(b.relu_conv(), 8, 8)
    normal = b.node("BatchNormalization", source, *(b.const(b.rng.uniform(0.5, 1.5, 8)) for _ in range(4)))
    report, ratio = quantized(b.save(tmp_path / "model.onnx", b.node("Add", source, normal)))
    assert report.float_operators == {"BatchNormalization": 1}
    assert ratio > 25.0


def test_a_normalisation_whose_convolution_a_branch_reads_stays(tmp_path: Path) -> None:
    b = Builder()
    source = b.conv(b.relu_conv(), 8, 8)
    normal = b.node("BatchNormalization", source, *(b.const(b.rng.uniform(0.5, 1.5, 8)) for _ in range(4)))
    flag = b.node("Greater", b.node("ReduceMean", normal, keepdims=0), b.const(0.0))
    branches = [_branch(b, source, name, False) for name in ("then", "other")]
    chosen = b.node("If", flag, then_branch=branches[0], else_branch=branches[1])
    report, ratio = quantized(b.save(tmp_path / "model.onnx", b.node("Add", chosen, normal)))
    assert report.float_operators["BatchNormalization"] == 1
    assert ratio > 20.0


def test_limits_that_are_attributes_in_an_old_opset_are_absorbed_too(tmp_path: Path) -> None:
    b = Builder(opset=9)
    six = b.node("Clip", b.conv(b.first, 3, 8), min=0.0, max=6.0)
    report, ratio = quantized(b.save(tmp_path / "model.onnx", b.conv(six, 8, 8)))
    assert report.absorbed == 1
    assert ratio > 25.0


def test_limits_that_are_numbers_in_constant_nodes_are_absorbed_too(tmp_path: Path) -> None:
    b = Builder()
    low, high = (b.node("Constant", value_float=value) for value in (0.0, 6.0))
    report, ratio = quantized(
        b.save(tmp_path / "model.onnx", b.conv(b.node("Clip", b.conv(b.first, 3, 8), low, high), 8, 8))
    )
    assert report.absorbed == 1
    assert ratio > 25.0


def test_a_dropout_whose_mask_is_read_stays(tmp_path: Path) -> None:
    b = Builder()
    b.nodes.append(helper.make_node("Dropout", [b.relu_conv()], ["kept", "mask"]))
    masked = b.node("Where", "mask", "kept", b.const(0.0))
    _, ratio = quantized(b.save(tmp_path / "model.onnx", b.conv(masked, 8, 8)))
    assert ratio > 25.0


@pytest.mark.parametrize("opset", [11, 12, 13, 18, 21, 26, onnx.defs.onnx_opset_version()])
def test_opsets_from_11_to_the_newest_are_taken(opset: int, tmp_path: Path) -> None:
    b = Builder(opset=opset)
    out = b.gemm(b.node("Flatten", b.node("GlobalAveragePool", b.relu_conv(32))), 32)
    model = b.model(out)
    model.ir_version = onnx.IR_VERSION if opset == onnx.defs.onnx_opset_version() else 8
    onnx.save(model, tmp_path / "model.onnx")
    feeds = list(graphs.pictures(4))
    int8 = tmp_path / "int8.onnx"
    report = quantize(
        tmp_path / "model.onnx",
        observe(tmp_path / "model.onnx", feeds),
        SCHEMES["openvino-cpu"],
        "minmax",
        int8,
    )
    assert report.quantized == 2
    assert np.isfinite(graphs.run(int8, feeds[0])).all(), "the runtime takes what is written"


def test_an_opset_that_nobody_has_defined_is_refused_in_one_line(tmp_path: Path) -> None:
    b = Builder(opset=onnx.defs.onnx_opset_version() + 1)
    b.save(tmp_path / "model.onnx", b.conv(b.relu_conv(), 8, 8))
    with pytest.raises(InputError) as caught:
        reading.load(tmp_path / "model.onnx")
    assert "model.onnx has opset" in caught.value.problem
    assert "\n" not in caught.value.problem


def test_weights_listed_as_inputs_before_ir_4_are_no_inputs(tmp_path: Path) -> None:
    b = Builder(opset=11)
    model = b.model(b.conv(b.relu_conv(), 8, 8))
    model.ir_version = 3
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    onnx.save(model, tmp_path / "model.onnx")
    report, ratio = quantized(tmp_path / "model.onnx")
    assert report.quantized == 2
    assert ratio > 25.0


@pytest.mark.parametrize("rank", [1, 3])
def test_convolutions_of_other_ranks_are_quantized(rank: int, tmp_path: Path) -> None:
    b = Builder()
    shape = [1, 8, 256] if rank == 1 else [1, 8, 4, 8, 8]
    source = b.node("Reshape", b.relu_conv(), b.const(np.array(shape)))
    weights = b.const(b.rng.normal(0, 0.2, (8, 8, *[3] * rank)))
    report, ratio = quantized(b.save(tmp_path / "model.onnx", b.node("Conv", source, weights)))
    assert report.quantized == 2
    assert ratio > 25.0


def test_every_output_stays_under_its_name(tmp_path: Path) -> None:
    b = Builder()
    inner = b.relu_conv()
    end = b.conv(inner, 8, 8)
    model = b.save(tmp_path / "model.onnx", end, inner)
    quantized(model)
    assert [v.name for v in onnx.load(tmp_path / "int8.onnx").graph.output] == [end, inner]


def test_layers_inside_a_function_are_seen(tmp_path: Path) -> None:
    b = Builder()
    source = b.relu_conv()
    weights = b.const(b.rng.normal(0, 0.2, (8, 8, 3, 3)))
    b.nodes.append(helper.make_node("Block", [source, weights], ["end"], domain="mine"))
    body = [
        helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4),
        helper.make_node("Relu", ["y"], ["z"]),
    ]
    model = b.model("end")
    model.opset_import.append(helper.make_opsetid("mine", 1))
    model.functions.append(
        helper.make_function("mine", "Block", ["x", "w"], ["z"], body, [helper.make_opsetid("", 17)])
    )
    onnx.save(model, tmp_path / "model.onnx")
    report, ratio = quantized(tmp_path / "model.onnx")
    assert report.quantized == 2
    assert ratio > 25.0


def test_half_precision_is_refused_with_the_reason(tmp_path: Path) -> None:
    b = Builder(pixels=False)
    b.input.type.tensor_type.elem_type = TensorProto.FLOAT16
    weights = b.rng.normal(0, 0.2, (8, 3, 3, 3)).astype(np.float16)
    b.weights.append(numpy_helper.from_array(weights, "half"))
    model = b.model(b.node("Conv", "input", "half"))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(InputError, match="weights in float16"):
        reading.load(tmp_path / "model.onnx")


def test_an_operator_of_the_runtime_is_kept_float_and_named(tmp_path: Path) -> None:
    b = Builder()
    source = b.node("Gelu", b.relu_conv(), domain="com.microsoft")
    model = b.model(b.conv(source, 8, 8))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, tmp_path / "model.onnx")
    report, ratio = quantized(tmp_path / "model.onnx")
    assert report.quantized == 2, "the layer behind it is quantized, too"
    assert report.float_operators == {"com.microsoft.Gelu": 1}
    assert ratio > 25.0


def _branch(b: Builder, outer: str, name: str, axes_as_attribute: bool) -> onnx.GraphProto:
    """A body that reads a tensor and a weight of the graph around it, and holds a layer of its own."""
    weights = numpy_helper.from_array(b.rng.normal(0, 0.2, (8, 8, 1, 1)).astype(np.float32), f"{name}_w")
    nodes = [helper.make_node("Conv", [outer, f"{name}_w"], [f"{name}_made"], name=f"{name}_inner")]
    if axes_as_attribute:
        nodes += [
            helper.make_node("Unsqueeze", [f"{name}_made"], [f"{name}_wide"], axes=[0]),
            helper.make_node("Squeeze", [f"{name}_wide"], [f"{name}_end"], axes=[0]),
        ]
    else:
        nodes.append(helper.make_node("Relu", [f"{name}_made"], [f"{name}_end"]))
    end = helper.make_tensor_value_info(f"{name}_end", TensorProto.FLOAT, None)
    return helper.make_graph(nodes, name, [], [end], [weights])


@pytest.mark.parametrize("opset", [11, 17])
def test_control_flow_is_named_and_what_is_inside_is_left(opset: int, tmp_path: Path) -> None:
    b = Builder(opset=opset)
    source = b.relu_conv()
    flag = b.node("Greater", b.node("ReduceMean", source, keepdims=0), b.const(0.0))
    then, other = (_branch(b, source, name, opset < 13) for name in ("then", "other"))
    chosen = b.node("If", flag, then_branch=then, else_branch=other)
    model = b.save(tmp_path / "model.onnx", b.conv(chosen, 8, 8))
    report, ratio = quantized(model)
    assert report.float_operators["If"] == 1
    assert report.quantized == 2
    assert ratio > 20.0
    made = onnx.load(tmp_path / "int8.onnx").graph
    inside = next(node for node in made.node if node.op_type == "If").attribute[0].g
    assert "Conv" in {node.op_type for node in inside.node}
    assert not any("QuantizeLinear" in node.op_type for node in inside.node)
