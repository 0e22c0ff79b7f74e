"""Small Q/DQ graphs that keep TensorRT's rules unless a test asks for something else: float NCHW in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
WIDTH = 16


class Net:
    """Collects nodes; every method that adds one gives the name of its output."""

    def __init__(
        self, shape: tuple[int | str, ...] = (1, WIDTH, 8, 8), opset: int = 21, kind: int = 1
    ) -> None:
        self.rng = np.random.default_rng(0)
        self.opset = opset
        self.inputs = [helper.make_tensor_value_info("x", kind, shape)]
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def const(self, value: Any, dtype: Any = np.float32) -> str:
        """An initialiser."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node with one output, named after its operator."""
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def pair(
        self, name: str, scale: Any = 0.1, zero: Any = 0, dtype: Any = np.int8, **attributes: Any
    ) -> str:
        """A Q and its DQ on an activation."""
        scales, zeros = self.const(scale), self.const(zero, dtype)
        integers = self.node("QuantizeLinear", name, scales, zeros, **attributes)
        return self.node("DequantizeLinear", integers, scales, zeros, **attributes)

    def weights(self, *shape: int, axis: int | None = 0, count: int = 0, dtype: Any = np.float32) -> str:
        """int8 weights behind their DQ, a scale for each entry of the axis, or ``count`` of them."""
        scales = np.full(count or (1 if axis is None else shape[axis]), 0.01)
        values = self.rng.integers(-127, 128, shape)
        attributes = {} if axis is None else {"axis": axis}
        return self.node(
            "DequantizeLinear",
            self.const(values, np.int8),
            self.const(scales, dtype),
            self.const(np.zeros(scales.shape), np.int8),
            **attributes,
        )

    def conv(self, name: str, *bias: str, dtype: Any = np.float32) -> str:
        """A convolution of WIDTH channels; what it reads is the caller's to quantize."""
        return self.node("Conv", name, self.weights(WIDTH, WIDTH, 1, 1, dtype=dtype), *bias)

    def norm(self, name: str) -> str:
        """A BatchNormalization that changes nothing."""
        ones, zeros = np.ones(WIDTH), np.zeros(WIDTH)
        return self.node("BatchNormalization", name, *(self.const(v) for v in (ones, zeros, zeros, ones)))

    def save(self, path: Path, output: str) -> Path:
        """Write the graph; it need not be one that a runtime takes."""
        ends = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
        graph = helper.make_graph(self.nodes, "net", self.inputs, ends, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)
        onnx.save(model, path)
        return path
