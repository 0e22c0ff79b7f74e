"""The head in one node: every way to write one is found, nothing else is taken for one, and the answers stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgetl.errors import GateFailed, InputError
from edgetl.quantize import fused_head, fused_reference, half, observe, place, schemes
from tests.quantize import graphs
from tests.quantize.graphs import Builder

PICTURES = np.concatenate(list(graphs.pictures(6, seed=3)))
WIDTH, CLASSES = 8, 5


def gemm(b: Builder, source: str) -> str:
    return b.gemm(source, WIDTH)


def scaled_gemm(b: Builder, source: str) -> str:
    weights = b.const(b.rng.normal(0, 1, (WIDTH, CLASSES)))
    return b.node("Gemm", source, weights, b.const(np.ones((1, CLASSES))), alpha=0.5, beta=2.0)


def matmul_add(b: Builder, source: str) -> str:
    product = b.node("MatMul", source, b.const(b.rng.normal(0, 1, (WIDTH, CLASSES))))
    return b.node("Add", b.const(b.rng.normal(0, 1, CLASSES)), product)


def matmul(b: Builder, source: str) -> str:
    return b.node("MatMul", source, b.const(b.rng.normal(0, 1, (WIDTH, CLASSES))))


def averaged(b: Builder, source: str) -> str:
    return b.node("Flatten", b.node("GlobalAveragePool", source))


def reduced(b: Builder, source: str) -> str:
    return b.node("ReduceMean", source, axes=[-1, 2], keepdims=0)


def viewed(b: Builder, source: str) -> str:
    """As torch's second exporter writes a view: all elements, gathered in their order."""
    flat = b.node("Reshape", b.node("ReduceMean", source, axes=[2, 3]), b.const(np.array([WIDTH])))
    gathered = b.node("Gather", flat, b.const(np.arange(WIDTH).reshape(1, WIDTH, 1, 1)))
    return b.node("Reshape", b.node("Identity", gathered), b.const(np.array([1, WIDTH])))


def model_of(path: Path, *parts: Callable[[Builder, str], str]) -> Path:
    """A convolution, then what the parts add."""
    b = Builder()
    last = b.relu_conv(WIDTH)
    for part in parts:
        last = part(b, last)
    return b.save(path, last)


@pytest.mark.parametrize("layer", [gemm, scaled_gemm, matmul_add, matmul])
@pytest.mark.parametrize("pool", [averaged, reduced, viewed])
def test_every_way_to_write_a_head_is_one_node_that_answers_the_same(
    tmp_path: Path, pool: Callable[..., str], layer: Callable[..., str]
) -> None:
    plain, fused = model_of(tmp_path / "model.onnx", pool, layer), tmp_path / "fused.onnx"
    report = fused_head.write_fused(plain, fused)
    assert (report.channels, report.classes, report.top_k, report.pairs) == (WIDTH, CLASSES, 5, 0)
    written = onnx.load(fused)
    onnx.checker.check_model(written)
    assert [node.op_type for node in written.graph.node][-2:] == ["Relu", fused_head.OPERATOR]
    held = fused_reference.compare(plain, fused, PICTURES)
    assert held.rewriting < 1e-5
    assert held.agreement == 1.0


def test_the_node_is_the_plugins_and_says_what_it_gives(tmp_path: Path) -> None:
    fused_head.write_fused(model_of(tmp_path / "model.onnx", averaged, gemm), tmp_path / "fused.onnx")
    written = onnx.load(tmp_path / "fused.onnx")
    node = fused_head.fused_node(written)
    assert node is not None
    attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    assert attributes == {
        "plugin_version": b"1",
        "plugin_namespace": b"edgetl",
        "top_k": 5,
        "feature_scale": 0.0,
    }
    told = {
        out.name: (out.type.tensor_type.elem_type, [dim.dim_value for dim in out.type.tensor_type.shape.dim])
        for out in written.graph.output
    }
    assert told["probabilities"][0] == told["scores"][0] == TensorProto.FLOAT
    assert told["indices"] == (TensorProto.INT32, told["scores"][1])
    assert (told["probabilities"][1][1], told["scores"][1][1]) == (CLASSES, 5)
    assert [value.name for value in written.graph.input] == ["input"]
    found = fused_reference.answers(tmp_path / "fused.onnx", PICTURES)
    assert {name: (str(array.dtype), array.shape) for name, array in found.items()} == {
        "probabilities": ("float32", (6, CLASSES)),
        "indices": ("int32", (6, 5)),
        "scores": ("float32", (6, 5)),
    }
    ranked = np.take_along_axis(found["probabilities"], found["indices"].astype(np.int64), axis=1)
    assert np.array_equal(ranked, found["scores"])


@pytest.mark.parametrize("typed", [False, True])
def test_a_quantized_head_is_read_and_its_rounding_is_told(tmp_path: Path, typed: bool) -> None:
    plain = model_of(tmp_path / "model.onnx", averaged, gemm)
    stats = observe.observe(plain, graphs.pictures(16), total=16, method="default")
    quantized, fused = tmp_path / "int8.onnx", tmp_path / "fused.onnx"
    place.quantize(plain, stats, schemes.find("tensorrt"), "default", quantized, reduce_range=False)
    if typed:
        half.write_half(quantized, stats.ranges, tmp_path / "half.onnx")
        quantized = tmp_path / "half.onnx"
    report = fused_head.write_fused(quantized, fused)
    assert report.pairs > 0
    assert report.half == typed
    held = fused_reference.compare(quantized, fused, PICTURES)
    assert held.rewriting < (3e-3 if typed else 1e-5)
    assert held.difference > held.rewriting
    node = fused_head.fused_node(onnx.load(fused))
    assert node is not None
    kinds = {one.name: one.data_type for one in onnx.load(fused).graph.initializer}
    assert kinds[node.input[1]] == (TensorProto.FLOAT16 if typed else TensorProto.FLOAT)
    assert kinds[node.input[2]] == TensorProto.FLOAT


def test_a_batch_may_be_free_and_shapes_unknown(tmp_path: Path) -> None:
    model = onnx.load(model_of(tmp_path / "model.onnx", averaged, gemm))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    for axis in (1, 2):  # so that nothing can be inferred behind the first layer
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"axis_{axis}"
    onnx.save(model, tmp_path / "free.onnx")
    report = fused_head.write_fused(tmp_path / "free.onnx", tmp_path / "fused.onnx")
    assert report.channels == WIDTH
    assert fused_reference.compare(tmp_path / "free.onnx", tmp_path / "fused.onnx", PICTURES).rewriting < 1e-5


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    plain = model_of(tmp_path / "model.onnx", averaged, gemm)
    for name in ("one", "two"):
        fused_head.write_fused(plain, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def hidden(b: Builder, source: str) -> str:
    return b.node("Relu", source)


def maximum(b: Builder, source: str) -> str:
    return b.node("Flatten", b.node("GlobalMaxPool", source))


def rows_alone(b: Builder, source: str) -> str:
    return b.node("Flatten", b.node("ReduceMean", source, axes=[1, 2], keepdims=0))


def shuffled(b: Builder, source: str) -> str:
    return b.node("Gather", averaged(b, source), b.const(np.array([1, 0, 2, 3, 4, 5, 6, 7])), axis=1)


def softmax(b: Builder, source: str) -> str:
    return b.node("Softmax", source, axis=1)


def computed(b: Builder, source: str) -> str:
    return b.node("MatMul", source, b.node("Exp", b.const(b.rng.normal(0, 1, (WIDTH, CLASSES)))))


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ((averaged, hidden, gemm), "found Relu 'relu_"),
        ((maximum, gemm), "found GlobalMaxPool"),
        ((rows_alone, lambda b, x: b.gemm(x, graphs.SIDE)), "found ReduceMean"),
        ((shuffled, gemm), "found Gather"),
        ((averaged, gemm, softmax), "found Softmax"),
        ((averaged, computed), "whose weights are not constant"),
        ((hidden,), "found Relu"),
    ],
)
def test_another_head_is_refused_with_what_was_found(tmp_path: Path, parts: Any, found: str) -> None:
    plain = model_of(tmp_path / "model.onnx", *parts)
    with pytest.raises(InputError, match="does not end in a global average pool") as caught:
        fused_head.write_fused(plain, tmp_path / "fused.onnx")
    assert found in caught.value.problem
    assert "--fused-head" in caught.value.hint
    assert not (tmp_path / "fused.onnx").exists()


@pytest.mark.parametrize("constant", ["fused_head.weight", "fused_head.bias"])
def test_a_head_that_is_not_the_models_own_is_noticed(tmp_path: Path, constant: str) -> None:
    plain, fused = model_of(tmp_path / "model.onnx", averaged, gemm), tmp_path / "fused.onnx"
    fused_head.write_fused(plain, fused)
    model = onnx.load(fused)
    held = next(tensor for tensor in model.graph.initializer if tensor.name == constant)
    held.CopyFrom(numpy_helper.from_array(np.roll(numpy_helper.to_array(held), 1, axis=0), constant))
    onnx.save(model, fused)
    with pytest.raises(GateFailed, match=r"the fused head of model\.onnx differs from the plain one"):
        fused_reference.compare(plain, fused, PICTURES)
