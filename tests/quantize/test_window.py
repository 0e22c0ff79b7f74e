"""What a layer multiplies: windows times weights are the layer's own answers."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from onnx import helper
from onnx.reference import ReferenceEvaluator

from edgetl.quantize.window import Window, window_of


def answers(node: onnx.NodeProto, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info(n, onnx.TensorProto.DOUBLE, None) for n in ("x", "w")],
        [helper.make_tensor_value_info("y", onnx.TensorProto.DOUBLE, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    (found,) = ReferenceEvaluator(model).run(None, {"x": values, "w": weights})
    return np.asarray(found)


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[onnx.NodeProto, np.ndarray]:
    """A Conv node over four channels, and its weights."""
    group = draw(st.sampled_from([1, 2, 4]))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    node = helper.make_node(
        "Conv",
        ["x", "w"],
        ["y"],
        group=group,
        strides=draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
        dilations=[draw(st.integers(1, 2))] * 2,
        pads=draw(st.tuples(*[st.integers(0, 2)] * 4)),
    )
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    return node, rng.normal(size=(8, 4 // group, *kernel))


@settings(max_examples=40, deadline=None)
@given(convolutions(), st.integers(0, 999))
def test_windows_give_a_convolutions_answers(layer: tuple[onnx.NodeProto, np.ndarray], seed: int) -> None:
    node, weights = layer
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(1, 4, 9, 8))
    window = window_of(node, weights)
    assert window is not None
    matrices = window.matrices(weights)
    wanted = answers(node, values, weights)[0]
    every = window.windows(values, 10_000, rng) @ matrices.swapaxes(1, 2)  # (G, places, O / G), in some order
    found = every.swapaxes(1, 2).reshape(8, -1)
    assert np.allclose(np.sort(found, axis=1), np.sort(wanted.reshape(8, -1), axis=1))
    assert np.array_equal(window.weights(matrices, weights.shape), weights)


@settings(max_examples=40, deadline=None)
@given(convolutions(), st.integers(0, 999))
def test_the_mean_window_gives_the_mean_answer_where_channels_are_alike_everywhere(
    layer: tuple[onnx.NodeProto, np.ndarray], seed: int
) -> None:
    node, weights = layer
    channels = np.random.default_rng(seed).normal(size=4)
    window = window_of(node, weights)
    assert window is not None
    wanted = answers(node, np.broadcast_to(channels[:, None, None], (1, 4, 9, 8)).copy(), weights)[0]
    mean = np.einsum("gok,gk->go", window.matrices(weights), window.means(channels, (9, 8))).reshape(-1)
    assert np.allclose(mean, wanted.mean(axis=(1, 2)))


@pytest.mark.parametrize(
    ("op", "told", "shape"), [("Gemm", {"transB": 1}, (5, 7)), ("Gemm", {}, (7, 5)), ("MatMul", {}, (7, 5))]
)
def test_a_linear_layer_reads_rows(op: str, told: dict[str, Any], shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=(3, 7)), rng.normal(size=shape)
    node = helper.make_node(op, ["x", "w"], ["y"], **told)
    window = window_of(node, weights)
    assert window is not None
    matrices = window.matrices(weights)
    wanted = answers(node, values, weights)
    assert np.allclose((window.windows(values, 1, rng) @ matrices.swapaxes(1, 2))[0], wanted)
    mean = np.einsum("gok,gk->go", matrices, window.means(values.mean(axis=0), ()))
    assert np.allclose(mean[0], wanted.mean(axis=0))
    assert np.array_equal(window.weights(matrices, weights.shape), weights)


@pytest.mark.parametrize(
    ("op", "told", "rank"),
    [
        ("Conv", {"auto_pad": "SAME_UPPER"}, 4),
        ("Conv", {}, 3),
        ("ConvTranspose", {}, 4),
        ("Gemm", {"alpha": 2.0}, 2),
        ("MatMul", {}, 3),
    ],
)
def test_a_layer_whose_windows_are_not_known_has_none(op: str, told: dict[str, Any], rank: int) -> None:
    node = helper.make_node(op, ["x", "w"], ["y"], **told)
    assert window_of(node, np.ones((2,) * rank)) is None


def test_a_window_is_one_value_of_each_channel_unless_told() -> None:
    assert Window().taps == 1
