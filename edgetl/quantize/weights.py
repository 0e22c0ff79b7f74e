"""Write the weights of quantized layers as int8, and make good in their biases what rounding took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from edgetl.calibration.affine import weight_scale
from edgetl.calibration.rounding import nearest
from edgetl.quantize.graph import WEIGHTED, Graph
from edgetl.quantize.plan import Placement
from edgetl.quantize.schemes import Scheme
from edgetl.quantize.window import Window, window_of
from edgetl.quantize.writing import ENDINGS, add_parameters, pair_half, rewire

__all__ = ["write_weights"]

Array = npt.NDArray[Any]


def write_weights(
    graph: Graph,
    placement: Placement,
    scheme: Scheme,
    means: Mapping[str, Array],
    rounded: Mapping[str, Array],
) -> list[onnx.NodeProto]:
    """Replace float weights by int8 ones; the DequantizeLinear nodes that bring them back.

    Parameters
    ----------
    means : layer -> the mean window that it reads, (G, K). A layer that is here gets its bias corrected.
    rounded : layer -> its integers, (G, O / G, K), of ``rounding.round_layers``; the nearest ones where it is not here.
    """
    proto = graph.model.graph
    old = {tensor.name: tensor for tensor in proto.initializer}
    nodes: list[onnx.NodeProto] = []
    for name, axis in placement.weights.items():
        weights = graph.array(name).astype(np.float32)
        scale = weight_scale(weights, axis, reduce_range=scheme.reduce_range)
        layer, window = _only_reader(graph, name, weights)
        if layer is not None and window is not None and layer.name in rounded:
            integers = window.weights(rounded[layer.name], weights.shape)
        else:
            integers = nearest(weights, _along(scale, axis, weights.ndim))
        if layer is not None and window is not None and layer.name in means:
            lost = weights.astype(np.float64) - integers * _along(scale, axis, weights.ndim).astype(
                np.float64
            )
            _shift_bias(graph, layer, _answer(window, lost, means[layer.name]))
        proto.initializer.remove(old[name])
        label = graph.label(name, ENDINGS)
        dequantized = f"{label}_dequantized"
        nodes.append(pair_half("DequantizeLinear", f"{label}_quantized", dequantized, label, axis))
        proto.initializer.append(numpy_helper.from_array(integers, f"{label}_quantized"))
        add_parameters(proto, label, scale, np.zeros(scale.shape, np.int8))
        for reader in graph.consumers[name]:
            rewire(reader, name, dequantized)
    return nodes


def _only_reader(graph: Graph, name: str, weights: Array) -> tuple[onnx.NodeProto | None, Window | None]:
    """The one layer that reads these weights, and how it reads its input."""
    readers = graph.consumers[name]
    if len(readers) != 1 or readers[0].op_type not in WEIGHTED:
        return None, None
    return readers[0], window_of(readers[0], weights)


def _along(scale: Array, axis: int, rank: int) -> Array:
    shape = [1] * rank
    shape[axis] = -1
    return scale.reshape(shape)


def _answer(window: Window, lost: Array, mean: Array) -> Array:
    """What the layer would add with the lost part of its weights, on average: (O,)."""
    answer: Array = np.einsum("gok,gk->go", window.matrices(lost), mean).reshape(-1)
    return answer


def _shift_bias(graph: Graph, layer: onnx.NodeProto, shift: Array) -> None:
    """Add to a layer's bias, which may be shared or absent; a computed one is left as it is.

    The mean of a layer's answers is kept so: Nagel et al. 2019 (arXiv:1906.04721), section 4.2, with the input's mean
    observed instead of assumed.
    """
    proto = graph.model.graph
    given = layer.input[2] if len(layer.input) > 2 else ""
    if layer.op_type == "MatMul" or (given and given not in graph.constants):
        return
    bias = graph.array(given) if given else np.zeros(len(shift), np.float32)
    if bias.size != len(shift):
        return
    name = f"{graph.label(given or layer.name, ('_corrected',))}_corrected"
    corrected = (bias.astype(np.float64).reshape(-1) + shift).astype(np.float32).reshape(bias.shape)
    proto.initializer.append(numpy_helper.from_array(corrected, name))
    if given:
        layer.input[2] = name
        if len(graph.consumers[given]) == 1:
            proto.initializer.remove(next(t for t in proto.initializer if t.name == given))
    else:
        layer.input.append(name)
