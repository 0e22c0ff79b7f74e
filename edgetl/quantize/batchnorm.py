"""A BatchNormalization in inference is a scale and a shift for each channel: those of the convolution before it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from edgetl.quantize import files

__all__ = ["fold"]

EPSILON = 1e-5
"""Where a node does not say: ONNX's default."""
Floats = npt.NDArray[np.float64]


def fold(graph: onnx.GraphProto, readers: Mapping[str, int]) -> None:
    """Put every BatchNormalization that alone reads a convolution of constants into it, in place.

    The convolution takes the name of what the normalisation gave; weights that others read too are left, and so are
    those that are outside of the graph.

    Parameters
    ----------
    readers : how often each tensor is read, in bodies and as an output of the graph too.
    """
    held = {tensor.name: tensor for tensor in graph.initializer if not files.is_outside(tensor)}
    makers = {node.output[0]: node for node in graph.node if node.op_type == "Conv"}
    for node in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        convolution = makers.get(node.input[0])
        constants = [*node.input[1:], *(convolution.input[1:] if convolution is not None else ())]
        if convolution is None or readers[node.input[0]] > 1 or not all(name in held for name in constants):
            continue
        if any(node.output[1:]) or any(readers[name] > 1 for name in convolution.input[1:]):
            continue
        _absorb(graph, held, convolution, node)
        graph.node.remove(node)


def _absorb(
    graph: onnx.GraphProto,
    held: dict[str, onnx.TensorProto],
    convolution: onnx.NodeProto,
    node: onnx.NodeProto,
) -> None:
    def value(name: str) -> Floats:
        return numpy_helper.to_array(held[name]).astype(np.float64)

    scale, shift, mean, variance = map(value, node.input[1:])
    epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), EPSILON)
    factor = scale / np.sqrt(variance + epsilon)
    weights = value(convolution.input[1])
    bias = value(convolution.input[2]) if len(convolution.input) > 2 else np.zeros(len(weights))
    found = {
        convolution.input[1]: weights * factor.reshape(-1, *[1] * (weights.ndim - 1)),
        f"{convolution.output[0]}_bias": (bias - mean) * factor + shift,
    }
    for name, array in found.items():
        tensor = held.get(name) or graph.initializer.add()
        tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float32), name))
    del convolution.input[2:]
    convolution.input.append(f"{convolution.output[0]}_bias")
    convolution.output[0] = node.output[0]
