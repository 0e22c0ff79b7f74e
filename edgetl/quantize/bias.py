"""Biases corrected by what the INT8 network answers: one layer after the other, each on the layers before it in INT8.

Writing weights corrects a bias for what rounding them took, as if the layer read what it reads in float. What clipping,
rounding activations and the layers before it do to its mean is measured here (Nagel et al. 2019, arXiv:1906.04721,
section 4.2, empirically).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import numpy_helper

from edgetl.quantize import graph as graphs
from edgetl.quantize.graph import WEIGHTED
from edgetl.quantize.observe import answers, open_session

__all__ = ["PICTURES", "measure", "shift"]

Array = npt.NDArray[Any]

PICTURES = 32
"""Pictures that are enough: an error is a difference on the same picture, which varies little."""


def measure(
    model: Path,
    quantized: Path,
    pictures: Sequence[Array],
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Array]:
    """What to add to the biases of an INT8 model's layers: layer -> (O,) float64.

    Parameters
    ----------
    model : the float model. quantized : made of it, with the integers and ranges that it will have.
    pictures : as the model's input takes them, (1, ...).
    on_progress : told ``(done, total)`` layers.
    """
    proto = onnx.load(quantized)
    layers = list(_biased(proto))
    wanted = _float_means(model, [layer.name for layer, _ in layers], pictures)
    shifts = {}
    for done, (layer, bias) in enumerate(layers, start=1):
        shifts[layer.name] = wanted[layer.name] - _mean(proto, layer.output[0], pictures)
        _add(bias, shifts[layer.name])
        if on_progress is not None:
            on_progress(done, len(layers))
    return shifts


def shift(quantized: Path, shifts: Mapping[str, Array]) -> None:
    """Add what was measured to the biases of an INT8 model; layers that are in float by now keep theirs."""
    proto = onnx.load(quantized)
    for layer, bias in _biased(proto):
        if layer.name in shifts:
            _add(bias, shifts[layer.name])
    partial = quantized.with_name(f"{quantized.name}.partial")
    partial.write_bytes(proto.SerializeToString(deterministic=True))
    partial.replace(quantized)


def _biased(proto: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, onnx.TensorProto]]:
    """Layers with integers for weights and a constant bias of their own, in graph order, with the bias."""
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    read = [name for node in proto.graph.node for name in node.input]
    restored = {node.output[0] for node in proto.graph.node if node.op_type == "DequantizeLinear"}
    for node in proto.graph.node:
        if node.op_type in WEIGHTED and len(node.input) > 2 and node.input[1] in restored:
            name = node.input[2]
            if name in constants and read.count(name) == 1:
                yield node, constants[name]


def _add(bias: onnx.TensorProto, amount: Array) -> None:
    before = numpy_helper.to_array(bias)
    after = (before + amount.reshape(before.shape)).astype(np.float32)
    bias.CopyFrom(numpy_helper.from_array(after, bias.name))


def _float_means(model: Path, layers: Sequence[str], pictures: Sequence[Array]) -> dict[str, Array]:
    """The mean answer of each layer in float, for each output channel."""
    graph = graphs.load(model)
    outputs = {node.name: node.output[0] for node in graph.model.graph.node if node.name in set(layers)}
    session, feed = open_session(graph, list(outputs.values()), model.name)
    means = [
        {name: _channels(arrays[output]) for name, output in outputs.items()}
        for _, arrays in answers(session, feed, pictures)
    ]
    return {name: np.mean([one[name] for one in means], axis=0) for name in outputs}


def _mean(proto: onnx.ModelProto, output: str, pictures: Sequence[Array]) -> Array:
    """The same of one layer in INT8, every pair computed as ONNX defines it: fused kernels may saturate here."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    part = _up_to(proto, output).SerializeToString()
    session = onnxruntime.InferenceSession(part, options, providers=["CPUExecutionProvider"])
    feed = session.get_inputs()[0].name
    mean: Array = np.mean(
        [_channels(arrays[output]) for _, arrays in answers(session, feed, pictures)], axis=0
    )
    return mean


def _channels(answer: Array) -> Array:
    """The mean of each channel, (O,): of the second axis, for what has a bias is a picture or a row."""
    means: Array = answer.mean(axis=(0, *range(2, answer.ndim)), dtype=np.float64)
    return means


def _up_to(proto: onnx.ModelProto, output: str) -> onnx.ModelProto:
    """The part of a model that a tensor depends on."""
    wanted, nodes = {output}, []
    for node in reversed(proto.graph.node):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            nodes.append(node)
    part = onnx.ModelProto()
    part.CopyFrom(proto)
    del part.graph.node[:], part.graph.output[:], part.graph.initializer[:]
    part.graph.node.extend(reversed(nodes))
    part.graph.initializer.extend(t for t in proto.graph.initializer if t.name in wanted)
    part.graph.output.append(onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None))
    return part
