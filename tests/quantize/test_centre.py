"""What is never negative uses all of int8, though its zero point is 0: the graph says the same in other numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgetl.quantize import place
from edgetl.quantize.lint import lint
from edgetl.quantize.observe import observe
from edgetl.quantize.schemes import SCHEMES, Scheme
from tests.quantize import graphs

CENTRED = SCHEMES["tensorrt"]
PLAIN = msgspec.structs.replace(CENTRED, centre=False)
UNSIGNED = msgspec.structs.replace(PLAIN, activation="uint8", symmetric=False)
Net = Callable[[graphs.Builder], str]


def quantized(model: Path, scheme: Scheme) -> onnx.ModelProto:
    out = model.with_name("int8.onnx")
    place.quantize(model, observe(model, graphs.pictures(16)), scheme, "default", out)
    return onnx.load(out)


def noise_db(model: Path, scheme: Scheme) -> float:
    quantized(model, scheme)
    pictures = list(graphs.pictures(8, seed=1))
    wanted, found = (
        np.concatenate([graphs.run(path, picture) for picture in pictures])
        for path in (model, model.with_name("int8.onnx"))
    )
    return graphs.snr_db(wanted, found)


def kinds(proto: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


def constant(proto: onnx.ModelProto, name: str) -> np.ndarray:
    return numpy_helper.to_array(next(t for t in proto.graph.initializer if t.name == name))


def relu(b: graphs.Builder) -> str:
    return b.conv(b.relu_conv(32), 32, 8, kernel=1)


def clip(b: graphs.Builder) -> str:
    """A bound that pictures reach."""
    return b.conv(b.node("Clip", b.conv(b.first, 3, 32), b.const(0.0), b.const(1.0)), 32, 8, kernel=1)


def chain(b: graphs.Builder) -> str:
    """A layer that both gives and reads a moved tensor."""
    return b.conv(b.node("Relu", b.conv(b.relu_conv(32), 32, 32, kernel=1)), 32, 8, kernel=1)


def without_bias(b: graphs.Builder) -> str:
    end = relu(b)
    for node in b.nodes:
        if node.op_type == "Conv":
            del node.input[2]
    return end


def two_readers(b: graphs.Builder) -> str:
    source = b.relu_conv(32)
    return b.node("Sub", b.conv(source, 32, 8, kernel=1), b.conv(source, 32, 8, kernel=1))


@pytest.mark.parametrize(
    ("net", "gain_db"), [(relu, 1.5), (clip, 0.0), (chain, 1.5), (without_bias, 1.5), (two_readers, 1.5)]
)
def test_it_is_as_good_as_a_zero_point_and_takes_the_activation_out(
    net: Net, gain_db: float, tmp_path: Path
) -> None:
    b = graphs.Builder()
    model = b.save(tmp_path / "model.onnx", net(b))
    centred = noise_db(model, CENTRED)
    proto = onnx.load(tmp_path / "int8.onnx")
    assert not {"Relu", "Clip"} & set(kinds(proto))
    assert lint(tmp_path / "int8.onnx", "tensorrt") == [], "zero points are 0, and nothing stands in the way"
    assert centred == pytest.approx(noise_db(model, UNSIGNED), abs=1.0)
    assert centred > noise_db(model, PLAIN) + gain_db


def test_a_classifier_behind_a_mean_reads_it_centred(tmp_path: Path) -> None:
    model = graphs.write("dynamo-mean", tmp_path)
    proto = quantized(model, CENTRED)
    assert "Clip" in kinds(proto), "the Relu stays in float, its end moved"
    assert noise_db(model, CENTRED) > noise_db(model, PLAIN)


def test_a_mean_of_integers_is_left_alone(tmp_path: Path) -> None:
    """The scale of the integers that it reads would not hold a moved zero exactly."""
    model = graphs.write("gemm", tmp_path)
    assert quantized(model, CENTRED) == quantized(model, PLAIN)


def padded(b: graphs.Builder) -> str:
    return b.conv(b.relu_conv(32), 32, 8, kernel=3)


def read_in_float(b: graphs.Builder) -> str:
    source = b.relu_conv(32)
    return b.node("Add", b.conv(source, 32, 32, kernel=1), b.node("Sigmoid", source))


def skip_connection(b: graphs.Builder) -> str:
    source = b.relu_conv(32)
    return b.node("Add", b.conv(source, 32, 32, kernel=1), source)


def signed(b: graphs.Builder) -> str:
    source = b.node("Clip", b.conv(b.first, 3, 32), b.const(-1.0), b.const(6.0))
    return b.conv(source, 32, 8, kernel=1)


def computed_bias(b: graphs.Builder) -> str:
    shift = b.node("Reshape", b.node("GlobalAveragePool", b.conv(b.first, 3, 8)), b.const(np.array([8])))
    source = b.relu_conv(32)
    weights = b.const(b.rng.normal(0, 0.2, (8, 32, 1, 1)))
    return b.node("Conv", source, weights, shift)


@pytest.mark.parametrize("net", [padded, read_in_float, skip_connection, signed, computed_bias])
def test_a_tensor_that_cannot_be_moved_is_left_alone(net: Net, tmp_path: Path) -> None:
    b = graphs.Builder()
    model = b.save(tmp_path / "model.onnx", net(b))
    with_it, without = (quantized(model, scheme).SerializeToString() for scheme in (CENTRED, PLAIN))
    assert with_it == without


def test_a_pad_between_keeps_a_tensor_where_it_is(tmp_path: Path) -> None:
    b = graphs.Builder()
    moved = b.node("Pad", b.relu_conv(32), b.const(np.array([0, 0, 1, 1, 0, 0, 1, 1])))
    model = b.save(tmp_path / "model.onnx", b.conv(moved, 32, 8, kernel=1))
    assert quantized(model, CENTRED) == quantized(model, PLAIN)


def test_the_scale_is_one_that_half_precision_holds(tmp_path: Path) -> None:
    b = graphs.Builder()
    proto = quantized(b.save(tmp_path / "model.onnx", relu(b)), CENTRED)
    half = next(
        node for node in proto.graph.node if node.op_type == "QuantizeLinear" and "centred" in node.name
    )
    scale = constant(proto, half.input[1])
    assert np.float32(np.float16(scale)) == scale
