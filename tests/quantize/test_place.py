"""A quantized graph answers like the float one, because its layers really read integers."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgetl.errors import InputError
from edgetl.quantize import place
from edgetl.quantize.graph import WEIGHTED
from edgetl.quantize.observe import observe
from edgetl.quantize.schemes import SCHEMES, Scheme
from edgetl.quantize.statistics import Statistics
from tests.quantize import graphs

CPU = SCHEMES["openvino-cpu"]
LAYERS = {case: 3 for case in ("residual", "depthwise-clip", "squeeze-excite")} | {"concat": 4, "dense": 6}
LEFT_FLOAT = {
    ("matmul", "tensorrt"): ["MatMul"],
    ("matmul", "tensorrt-dla"): ["MatMul"],
    ("depthwise-clip", "tensorrt"): ["Conv"],
}
"""What TensorRT is faster at in float."""
every_case = pytest.mark.parametrize("case", graphs.CASES)


def quantized(
    model: Path, scheme: Scheme = CPU, method: str = "default", out: Path | None = None
) -> tuple[onnx.ModelProto, place.QuantizeReport]:
    out = out or model.with_name("int8.onnx")
    report = place.quantize(model, observe(model, graphs.pictures(16), method=method), scheme, method, out)
    return onnx.load(out), report


def worst_snr(model: Path, other: Path) -> float:
    fresh = graphs.pictures(4, seed=1)
    return min(graphs.snr_db(graphs.run(model, p), graphs.run(other, p)) for p in fresh)


@every_case
@pytest.mark.parametrize("scheme", ["openvino-cpu", "tensorrt", "tensorrt-dla"])
def test_the_quantized_graph_agrees_with_the_float_one(case: str, scheme: str, tmp_path: Path) -> None:
    model = graphs.write(case, tmp_path)
    _, report = quantized(model, SCHEMES[scheme])
    assert worst_snr(model, tmp_path / "int8.onnx") > 25.0
    assert report.quantizable == LAYERS.get(case, 2)
    left = LEFT_FLOAT.get((case, scheme), [])
    assert [layer.op for layer in report.left_float] == left
    assert report.quantized == report.quantizable - len(left)


@every_case
def test_every_quantized_layer_reads_integers(case: str, tmp_path: Path) -> None:
    proto, report = quantized(graphs.write(case, tmp_path))
    producer = {name: node.op_type for node in proto.graph.node for name in node.output}
    layers = [node for node in proto.graph.node if node.name in report.layers]
    assert len(layers) == report.quantized > 0
    for node in layers:
        source = node.input[0]
        while producer.get(source) in CPU.passing:
            source = next(n for n in proto.graph.node if source in n.output).input[0]
        assert producer[source] == producer[node.input[1]] == "DequantizeLinear", node.name
        assert all(name not in producer for name in node.input[2:]), "a bias is in float, without a pair"


def test_a_graph_whose_ranges_are_wrong_is_found_by_the_same_measure(tmp_path: Path) -> None:
    model = graphs.write("residual", tmp_path)
    stats = observe(model, graphs.pictures(4))
    given = list(stats.ranges.values())
    shuffled = Statistics(dict(zip(stats.ranges, [*given[1:], given[0]], strict=True)), stats.means)
    place.quantize(model, shuffled, CPU, "default", tmp_path / "int8.onnx")
    assert worst_snr(model, tmp_path / "int8.onnx") < 25.0


@every_case
def test_absorbing_changes_no_bit_of_the_answer(case: str, tmp_path: Path) -> None:
    model = graphs.write(case, tmp_path)
    _, with_it = quantized(model)
    kept, without = quantized(model, msgspec.structs.replace(CPU, absorb=False), out=tmp_path / "kept.onnx")
    assert without.absorbed == 0
    for picture in graphs.pictures(4, seed=1):
        assert np.array_equal(
            graphs.run(tmp_path / "int8.onnx", picture), graphs.run(tmp_path / "kept.onnx", picture)
        )
    activations = sum(node.op_type in ("Relu", "Clip") for node in kept.graph.node)
    absorbable = {
        "hardswish": 0,
        "read-twice": 0,
        "residual": 2,
    }  # what is read in float or ends the graph stays
    assert with_it.absorbed == absorbable.get(case, activations)


def test_a_clip_whose_limits_are_computed_or_narrower_than_the_range_stays(tmp_path: Path) -> None:
    b = graphs.Builder()
    limit = b.node("ReduceMax", b.first, keepdims=0)
    inner = b.node("Clip", b.conv(b.first, 3, 8), b.const(0.5), b.const(1.0))  # zero is outside: always wider
    computed = b.node("Clip", b.conv(inner, 8, 8), b.const(0.0), limit)
    model = b.save(tmp_path / "model.onnx", b.conv(computed, 8, 8))
    proto, report = quantized(model)
    assert report.absorbed == 0
    assert sum(node.op_type == "Clip" for node in proto.graph.node) == 2
    assert worst_snr(model, tmp_path / "int8.onnx") > 25.0


def test_an_activation_that_is_first_or_an_output_stays(tmp_path: Path) -> None:
    b = graphs.Builder(pixels=False)
    middle = b.node("Relu", b.conv(b.node("Relu", "input"), 3, 8))
    model = b.save(tmp_path / "model.onnx", b.conv(middle, 8, 8), middle)
    images = [np.random.default_rng(i).normal(size=(1, 3, 16, 16)).astype(np.float32) for i in range(4)]
    report = place.quantize(model, observe(model, images), CPU, "default", tmp_path / "int8.onnx")
    assert report.absorbed == 0
    assert graphs.snr_db(graphs.run(model, images[0]), graphs.run(tmp_path / "int8.onnx", images[0])) > 25.0


@every_case
def test_preprocessing_stays_float(case: str, tmp_path: Path) -> None:
    proto, _ = quantized(graphs.write(case, tmp_path))
    operators = [n.op_type for n in proto.graph.node if n.op_type != "DequantizeLinear"]
    assert operators[:5] == ["Transpose", "Cast", "Mul", "Add", "QuantizeLinear"]
    assert proto.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8


@every_case
def test_the_same_input_gives_the_same_bytes(case: str, tmp_path: Path) -> None:
    model = graphs.write(case, tmp_path)
    stats = observe(model, graphs.pictures(4))
    found = []
    for out in (tmp_path / "a.onnx", tmp_path / "b.onnx"):
        place.quantize(
            model, Statistics(dict(reversed(stats.ranges.items())), stats.means), CPU, "default", out
        )
        found.append(out.read_bytes())
    assert found[0] == found[1]


@pytest.mark.parametrize("scheme", ["tensorrt", "tensorrt-dla"])
@every_case
def test_tensorrt_gets_int8_with_zero_points_of_zero(scheme: str, case: str, tmp_path: Path) -> None:
    proto, _ = quantized(graphs.write(case, tmp_path), SCHEMES[scheme])
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = constants[node.input[2]]
            assert zero.data_type == TensorProto.INT8
            assert not numpy_helper.to_array(zero).any()


def test_weights_are_int8_with_a_scale_for_each_output_channel(tmp_path: Path) -> None:
    for case, axis in (("conv-relu-conv", 0), ("transposed", 1), ("gemm", 0), ("matmul", 1)):
        proto, report = quantized(graphs.write(case, tmp_path))
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
        producer = {name: node for node in proto.graph.node for name in node.output}
        layer = next(node for node in proto.graph.node if node.name == report.layers[-1])
        pair = producer[layer.input[1]]
        integers, scale = (constants[name] for name in pair.input[:2])
        assert integers.dtype == np.int8
        assert scale.shape == (integers.shape[axis],)
        assert next(a.i for a in pair.attribute if a.name == "axis") == axis
        assert np.abs(integers).max() == 127


def test_a_reduced_range_leaves_no_pair_of_input_channels_that_saturates_16_bits(tmp_path: Path) -> None:
    model = graphs.write("residual", tmp_path)
    stats = observe(model, graphs.pictures(8))
    report = place.quantize(model, stats, CPU, "default", tmp_path / "half.onnx", reduce_range=True)
    arrays = [numpy_helper.to_array(tensor) for tensor in onnx.load(tmp_path / "half.onnx").graph.initializer]
    weights = [a.astype(int) for a in arrays if a.dtype == np.int8 and a.ndim == 4 and a.shape[1] > 1]
    assert weights
    for array in weights:
        pairs = [array[:, first : first + 2] for first in range(0, array.shape[1], 2)]
        assert max(np.maximum(pair, 0).sum(axis=1).max() for pair in pairs) <= 128
        assert min(np.minimum(pair, 0).sum(axis=1).min() for pair in pairs) >= -128
    assert report.reduce_range
    assert worst_snr(model, tmp_path / "half.onnx") > 25.0


def test_the_first_and_the_last_layer_can_stay_float(tmp_path: Path) -> None:
    scheme = msgspec.structs.replace(CPU, first_float=True, last_float=True)
    proto, report = quantized(graphs.write("residual", tmp_path), scheme)
    weighted = [node for node in proto.graph.node if node.op_type in WEIGHTED]
    assert [left.reason for left in report.left_float] == ["first layer", "last layer"]
    assert [left.name for left in report.left_float] == [weighted[0].name, weighted[-1].name]
    assert report.quantized == 1


def test_tensors_that_are_joined_share_one_scale(tmp_path: Path) -> None:
    proto, _ = quantized(graphs.write("concat", tmp_path))
    producer = {name: node for node in proto.graph.node for name in node.output}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    join = next(node for node in proto.graph.node if node.op_type == "Concat")
    scales = [float(constants[producer[name].input[1]]) for name in join.input]
    assert scales[0] == scales[1] > 0


def test_names_that_are_taken_are_left_alone(tmp_path: Path) -> None:
    b = graphs.Builder()
    relu = b.relu_conv()
    factor = b.const(2.0, f"{relu}_scale")  # what the scale of this very tensor would be called
    model = b.save(tmp_path / "model.onnx", b.conv(b.node("Mul", relu, factor), 8, 8), b.conv(relu, 8, 8))
    quantized(model)
    assert worst_snr(model, tmp_path / "int8.onnx") > 25.0


def test_what_a_branch_reads_is_still_there(tmp_path: Path) -> None:
    b = graphs.Builder()
    relu = b.relu_conv()
    out = b.conv(relu, 8, 8)
    flag = b.node("Greater", b.node("ReduceMax", relu, keepdims=0), b.const(0.5))
    weights = next(node for node in b.nodes if node.name == out).input[1]

    def branch(op: str) -> onnx.GraphProto:
        result = helper.make_tensor_value_info(f"{op}_out", TensorProto.FLOAT, None)
        nodes = [
            helper.make_node("ReduceSum", [weights], ["sum_" + op], keepdims=0),
            helper.make_node(op, [relu, "sum_" + op], [f"{op}_out"]),
        ]
        return helper.make_graph(nodes, op, [], [result])

    chosen = b.node("If", flag, then_branch=branch("Add"), else_branch=branch("Sub"))
    model = b.save(tmp_path / "model.onnx", b.node("Add", out, chosen))
    _, report = quantized(model)
    assert [left.reason for left in report.left_float] == ["its weights are shared with another use"]
    assert report.absorbed == 0
    assert worst_snr(model, tmp_path / "int8.onnx") > 25.0


def test_two_layers_with_the_same_weights_share_the_integers(tmp_path: Path) -> None:
    b = graphs.Builder()
    first = b.conv(b.relu_conv(), 8, 8)
    weights = next(node for node in b.nodes if node.name == first).input[1]
    model = b.save(tmp_path / "model.onnx", b.node("Conv", b.node("Relu", first), weights, pads=[1] * 4))
    proto, report = quantized(model)
    assert report.quantized == 3
    assert (
        sum(
            tensor.data_type == TensorProto.INT8 and len(tensor.dims) == 4
            for tensor in proto.graph.initializer
        )
        == 2
    )
    assert worst_snr(model, tmp_path / "int8.onnx") > 25.0


def test_statistics_of_another_model_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    model = graphs.write("residual", tmp_path)
    stats = observe(model, graphs.pictures(2))
    lost = next(iter(stats.ranges))
    del stats.ranges[lost]
    with pytest.raises(InputError, match="lack 1 of 4 tensors") as caught:
        place.quantize(model, stats, CPU, "default", tmp_path / "int8.onnx")
    assert lost in caught.value.problem
    assert sorted(path.name for path in tmp_path.iterdir()) == [model.name]


@pytest.mark.parametrize("case", ["gemm", "dynamo-mean"])
def test_without_vnni_a_linear_layer_becomes_a_convolution_and_answers_the_same(
    case: str, tmp_path: Path
) -> None:
    model = graphs.write(case, tmp_path)
    proto = onnx.load(model)
    for tensor in proto.graph.initializer:  # as torch's exporter states them
        shape = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        proto.graph.value_info.append(shape)
    onnx.save(proto, model)
    stats = observe(model, graphs.pictures(8))
    report = place.quantize(model, stats, CPU, "default", tmp_path / "conv.onnx", reduce_range=True)
    kinds = [node.op_type for node in onnx.load(tmp_path / "conv.onnx").graph.node]
    assert "Gemm" not in kinds
    assert report.quantized == report.quantizable == 2
    assert worst_snr(model, tmp_path / "conv.onnx") > 25.0


@pytest.mark.parametrize("reduce_range", [False, True])
def test_biases_keep_the_mean_of_what_a_layer_answers(reduce_range: bool, tmp_path: Path) -> None:
    """One large weight a channel, beside which the many small ones of one sign round to zero."""
    b = graphs.Builder()
    weights = np.full((8, 8, 3, 3), 0.45)
    weights[:, 0, 1, 1] = 127
    model = b.save(tmp_path / "model.onnx", b.node("Conv", b.relu_conv(), b.const(weights), pads=[1] * 4))
    stats = observe(model, graphs.pictures(16))
    means = {}
    for name, given in (("with", stats), ("without", Statistics(stats.ranges))):
        out = tmp_path / f"{name}.onnx"
        place.quantize(model, given, CPU, "minmax", out, reduce_range=reduce_range)
        errors = [graphs.run(out, p) - graphs.run(model, p) for p in graphs.pictures(16)]
        means[name] = np.abs(np.mean(errors, axis=(0, 1, 3, 4))).mean()
    assert means["with"] < 0.5 * means["without"]
