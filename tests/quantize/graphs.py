"""Small ONNX graphs for the tests: uint8 NHWC pixels in, as exported models have it, seeded weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
SIDE = 16


class Builder:
    """Collects nodes and weights; every method that adds a node gives the name of its output."""

    def __init__(self, *, pixels: bool = True, opset: int = 17) -> None:
        self.rng = np.random.default_rng(0)
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        if pixels:
            self.input = helper.make_tensor_value_info("input", TensorProto.UINT8, [1, SIDE, SIDE, 3])
        else:
            self.input = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
        self.first = "input"
        if pixels:
            moved = self.node("Transpose", "input", perm=[0, 3, 1, 2])
            scaled = self.node("Mul", self.node("Cast", moved, to=TensorProto.FLOAT), self.const(1 / 64))
            self.first = self.node("Add", scaled, self.const(-2.0))

    def const(self, value: Any, name: str = "") -> str:
        """An initialiser; float32 unless it is an integer array."""
        array = np.asarray(value)
        array = array.astype(np.float32) if array.dtype.kind == "f" else array.astype(np.int64)
        name = name or f"const_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node with one output."""
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def conv(self, source: str, width: int, into: int, *, kernel: int = 3, group: int = 1) -> str:
        """A convolution with bias that keeps the size of pictures and the spread of values."""
        shape = (into, width // group, kernel, kernel)
        weights = self.rng.normal(0, 1.4 / np.sqrt(np.prod(shape[1:])), shape)
        pads = [kernel // 2] * 4
        bias = self.const(self.rng.normal(0, 0.1, into))
        return self.node("Conv", source, self.const(weights), bias, pads=pads, group=group)

    def relu_conv(self, into: int = 8) -> str:
        """The first layer: convolution and Relu."""
        return self.node("Relu", self.conv(self.first, 3, into))

    def gemm(self, source: str, width: int, into: int = 5) -> str:
        """A linear layer of (N, width)."""
        weights = self.const(self.rng.normal(0, 1 / np.sqrt(width), (into, width)))
        return self.node("Gemm", source, weights, self.const(self.rng.normal(0, 0.1, into)), transB=1)

    def model(self, *outputs: str) -> onnx.ModelProto:
        """The graph that ends in these tensors."""
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "net", [self.input], ends, self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)

    def save(self, path: Path, *outputs: str) -> Path:
        """Write the model."""
        onnx.save(self.model(*outputs), path)
        return path


def _plain(b: Builder) -> str:
    return b.conv(b.relu_conv(), 8, 8)


def _residual(b: Builder) -> str:
    skip = b.relu_conv()
    return b.node("Relu", b.node("Add", b.conv(b.node("Relu", b.conv(skip, 8, 8)), 8, 8), skip))


def _depthwise(b: Builder) -> str:
    six = b.node("Clip", b.conv(b.relu_conv(), 8, 8, group=8), b.const(0.0), b.const(6.0))
    return b.conv(six, 8, 8, kernel=1)


def _concat(b: Builder) -> str:
    source = b.relu_conv()
    left, right = (b.node("Relu", b.conv(source, 8, 8, kernel=k)) for k in (1, 3))
    return b.conv(b.node("Concat", left, right, axis=1), 16, 8)


def _dense(b: Builder) -> str:
    """Two concatenations that share a tensor, as in a dense block."""
    source = b.relu_conv()
    left, middle, right = (b.node("Relu", b.conv(source, 8, 8, kernel=k)) for k in (1, 3, 1))
    both = [b.node("Concat", *pair, axis=1) for pair in ((left, middle), (middle, right))]
    return b.node("Add", b.conv(both[0], 16, 8), b.conv(both[1], 16, 8))


def _maxpool(b: Builder) -> str:
    pooled = b.node("MaxPool", b.relu_conv(), kernel_shape=[2, 2], strides=[2, 2])
    return b.conv(pooled, 8, 8)


def _gemm(b: Builder) -> str:
    return b.gemm(b.node("Flatten", b.node("GlobalAveragePool", b.relu_conv(32))), 32)


def _matmul(b: Builder) -> str:
    flat = b.node("Flatten", b.node("GlobalAveragePool", b.relu_conv(32)))
    product = b.node("MatMul", flat, b.const(b.rng.normal(0, 0.2, (32, 5))))
    return b.node("Add", product, b.const(b.rng.normal(0, 0.1, 5)))


def _hardswish(b: Builder) -> str:
    return b.conv(b.node("HardSwish", b.conv(b.first, 3, 8)), 8, 8)


def _transposed(b: Builder) -> str:
    source = b.relu_conv()
    weights = b.const(b.rng.normal(0, 0.2, (8, 4, 2, 2)))
    return b.node("ConvTranspose", source, weights, strides=[2, 2])


def _dynamo_mean(b: Builder) -> str:
    """The global mean as torch's exporter writes it around a class token."""
    mean = b.node("ReduceMean", b.relu_conv(32), b.const(np.array([2, 3])), keepdims=1)
    tokens = b.node("Reshape", mean, b.const(np.array([1, 1, 32])))
    first = b.node("Gather", tokens, b.const(np.array(0)), axis=1)
    return b.gemm(b.node("Reshape", first, b.const(np.array([1, 32]))), 32)


def _squeeze_excite(b: Builder) -> str:
    source = b.relu_conv()
    gate = b.node("Sigmoid", b.conv(b.node("GlobalAveragePool", source), 8, 8, kernel=1))
    return b.conv(b.node("Mul", source, gate), 8, 8)


def _read_twice(b: Builder) -> str:
    """Its Relu is read in integers and in float at once."""
    source = b.relu_conv()
    return b.conv(b.node("Add", source, b.node("Sigmoid", source)), 8, 8)


CASES: Mapping[str, Callable[[Builder], str]] = {
    "conv-relu-conv": _plain,
    "residual": _residual,
    "depthwise-clip": _depthwise,
    "concat": _concat,
    "dense": _dense,
    "maxpool": _maxpool,
    "gemm": _gemm,
    "matmul": _matmul,
    "hardswish": _hardswish,
    "transposed": _transposed,
    "dynamo-mean": _dynamo_mean,
    "squeeze-excite": _squeeze_excite,
    "read-twice": _read_twice,
}


def write(case: str, folder: Path) -> Path:
    """The model of a case."""
    builder = Builder(opset=18 if case == "dynamo-mean" else 17)
    return builder.save(folder / f"{case}.onnx", CASES[case](builder))


def pictures(count: int, seed: int = 0) -> Iterator[Array]:
    """Smooth uint8 pictures (1, SIDE, SIDE, 3), no two alike."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    for _ in range(count):
        waves = [np.sin(rng.uniform(1, 6) * x + rng.uniform(1, 6) * y + rng.uniform(0, 6)) for _ in range(3)]
        noise = rng.normal(0, 8, (SIDE, SIDE, 3))
        yield np.clip(128 + 90 * np.stack(waves, -1) + noise, 0, 255).astype(np.uint8)[None]


def run(model: Path, feed: Array) -> Array:
    """The first output on ONNX Runtime, every Q/DQ pair computed as ONNX defines it."""
    return answers(model, [feed])


def answers(model: Path, feeds: Iterable[Array]) -> Array:
    """The same for several inputs, one after the other.

    Without optimisations, for fused integer kernels saturate on processors without VNNI.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: feed})[0] for feed in feeds])


def snr_db(reference: Array, found: Array) -> float:
    """Signal to noise."""
    noise = float(((found - reference).astype(np.float64) ** 2).sum())
    return float(10 * np.log10((reference.astype(np.float64) ** 2).sum() / max(noise, 1e-30)))
