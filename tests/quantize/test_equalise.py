"""Equalised layers answer as before, and the channels between them have one range."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from edgetl.quantize import observe
from edgetl.quantize.equalise import equalise
from tests.quantize import graphs
from tests.quantize.graphs import Builder
from tests.quantize.planted import network


def _chain(b: Builder) -> str:
    """Dense, depthwise and pooled, to a linear layer at the end."""
    depthwise = b.node("Relu", b.conv(b.relu_conv(), 8, 8, group=8))
    pooled = b.node("MaxPool", b.node("LeakyRelu", b.conv(depthwise, 8, 16, kernel=1)), kernel_shape=[2, 2])
    last = b.node("Relu", b.conv(pooled, 16, 16, group=4))
    return b.gemm(b.node("Flatten", b.node("GlobalAveragePool", last)), 16)


def _branching(b: Builder) -> str:
    """One tensor, two layers that read it: one set of factors serves both."""
    source = b.relu_conv()
    both = [b.node("Relu", b.conv(source, 8, 8, kernel=kernel)) for kernel in (1, 3)]
    return b.conv(b.node("Concat", *both, axis=1), 16, 8)


CHANGED: dict[str, tuple[Callable[[Builder], str], int]] = {
    "chain": (_chain, 4),
    "branching": (_branching, 1),
}


def disturbed(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """The model with each output channel of each layer scaled by up to a thousand: any network, to a reader."""
    rng = np.random.default_rng(seed)
    weights = {name for node in model.graph.node if node.op_type == "Conv" for name in node.input[1:]}
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            array = numpy_helper.to_array(tensor)
            factors = np.exp(rng.uniform(-3.5, 3.5, len(array))).astype(np.float32)
            scaled = array * factors.reshape(-1, *[1] * (array.ndim - 1))
            tensor.CopyFrom(numpy_helper.from_array(scaled, tensor.name))
    return model


def write(case: str, seed: int, path: Path) -> Path:
    builder = Builder()
    onnx.save(disturbed(builder.model(CHANGED[case][0](builder)), seed), path)
    return path


@pytest.mark.parametrize("case", CHANGED)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_the_answers_are_those_of_the_network_as_it_was(
    case: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("equal")
    model = write(case, seed, folder / "before.onnx")
    pictures = list(graphs.pictures(3, seed=seed))
    stats = observe.observe(model, pictures)
    assert len(equalise(model, stats.ranges, folder / "after.onnx")) == CHANGED[case][1]
    for picture in pictures:
        before, after = (graphs.run(folder / f"{name}.onnx", picture) for name in ("before", "after"))
        assert np.abs(after - before).max() <= 1e-5 * np.abs(before).max()


def spread(model: Path, tensor: str) -> float:
    """The largest of a tensor's channels over the smallest, on a few pictures."""
    absmax = observe.observe(model, graphs.pictures(8)).ranges[tensor].channel_absmax
    assert absmax is not None
    return float(absmax.max() / absmax[absmax > 0].min())


def test_a_depthwise_reader_lets_all_channels_have_one_range(tmp_path: Path) -> None:
    model = write("chain", 0, tmp_path / "before.onnx")
    first = next(node.output[0] for node in onnx.load(model).graph.node if node.op_type == "Relu")
    stats = observe.observe(model, graphs.pictures(8))
    equalise(model, stats.ranges, tmp_path / "after.onnx")
    assert spread(model, first) > 10
    assert spread(tmp_path / "after.onnx", first) < 1.05


def test_a_planted_channel_is_undone(tmp_path: Path) -> None:
    model = network(tmp_path / "planted.onnx", planted=True)
    stats = observe.observe(model, graphs.pictures(8))
    equalise(model, stats.ranges, tmp_path / "after.onnx")
    relu = [node.output[0] for node in onnx.load(model).graph.node if node.op_type == "Relu"][1]
    assert spread(model, relu) > 500
    assert spread(tmp_path / "after.onnx", relu) < 20


@pytest.mark.parametrize(
    ("case", "scaled"),
    [
        ("residual", ["conv_6"]),  # inside the block; what is before it goes to the Add, too
        ("depthwise-clip", ["conv_4"]),  # before the depthwise layer; what is before the bound is not
        ("hardswish", []),
        ("squeeze-excite", []),
        ("read-twice", []),
        ("matmul", ["conv_4"]),
    ],
)
def test_what_takes_no_factor_is_left_as_it_is(case: str, scaled: list[str], tmp_path: Path) -> None:
    """An Add, a bound, a curve, a gate."""
    model = graphs.write(case, tmp_path)
    stats = observe.observe(model, graphs.pictures(4))
    assert equalise(model, stats.ranges, tmp_path / "after.onnx") == scaled
    assert (tmp_path / "after.onnx").exists() == bool(scaled)


def test_weights_that_two_layers_share_are_left_as_they_are(tmp_path: Path) -> None:
    b = Builder()
    source = b.relu_conv()
    shared = b.const(np.ones((8, 8, 1, 1)) / 8)
    last = b.node("Conv", b.node("Relu", b.node("Conv", source, shared)), shared)
    model = b.save(tmp_path / "shared.onnx", last)
    assert equalise(model, observe.observe(model, graphs.pictures(2)).ranges, tmp_path / "after.onnx") == []


def test_a_channel_that_was_never_lit_keeps_its_weights(tmp_path: Path) -> None:
    b = Builder()
    weights, bias = b.rng.normal(0, 1, (8, 3, 1, 1)), np.full(8, 0.1)
    weights[2], bias[2] = 0.0, -1.0
    first = b.node("Conv", b.first, b.const(weights, "weights"), b.const(bias))
    model = b.save(tmp_path / "dead.onnx", b.conv(b.node("Relu", first), 8, 8))
    equalise(model, observe.observe(model, graphs.pictures(4)).ranges, tmp_path / "after.onnx")
    after = {t.name: numpy_helper.to_array(t) for t in onnx.load(tmp_path / "after.onnx").graph.initializer}
    assert np.isfinite(np.concatenate([array.ravel() for array in after.values()])).all()
    assert not after["weights"][2].any()
