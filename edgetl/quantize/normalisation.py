"""Another normalisation in a float model of ours: its two constants are replaced, the rest stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgetl.errors import InputError
from edgetl.types import Preprocess

__all__ = ["renormalise"]

VIEWS = frozenset({"Transpose", "Cast", "Reshape"})


def renormalise(model: Path, preprocess: Preprocess, target: Path) -> None:
    """Write a model with the mean and std of ``preprocess`` in place of its own.

    A model of ours begins with views and a cast, then a scale and a shift: one a channel, or repeated along a row.

    Raises
    ------
    InputError : it does not begin so.
    """
    loaded = onnx.load(model)
    graph = loaded.graph
    scaling = _after(graph, graph.input[0].name)
    while scaling is not None and scaling.op_type in VIEWS:
        scaling = _after(graph, scaling.output[0])
    held = _constant(graph, scaling) if scaling is not None and scaling.op_type == "Mul" else None
    if scaling is None or held is None:
        raise InputError(
            f"{model.name} does not begin with a scale and a shift: its normalisation is not inside",
            hint="edgetl export writes models that do",
        )
    shape = list(held.dims)
    if int(np.prod(shape)) == 1:
        shape = [1, 3, 1, 1]  # one scale for all channels, which are before the pixels then
    scale, shift = (
        np.tile(np.array(values, np.float32), int(np.prod(shape)) // 3) for values in preprocess.affine()
    )
    shifting = _after(graph, scaling.output[0])
    offset = _constant(graph, shifting) if shifting is not None and shifting.op_type == "Add" else None
    held.CopyFrom(numpy_helper.from_array(scale.reshape(shape), held.name))
    values = shift.reshape(shape)
    if offset is not None:
        offset.CopyFrom(numpy_helper.from_array(values, offset.name))
    else:  # a mean of zero: the exporter left the addition out
        _insert_shift(graph, scaling, values)
    onnx.save(loaded, target)


def _after(graph: onnx.GraphProto, tensor: str) -> onnx.NodeProto | None:
    """The one node that reads a tensor's values; ``Shape`` reads none."""
    readers = [node for node in graph.node if tensor in node.input and node.op_type != "Shape"]
    return readers[0] if len(readers) == 1 else None


def _constant(graph: onnx.GraphProto, node: onnx.NodeProto) -> onnx.TensorProto | None:
    """The constant among a node's inputs."""
    known = {tensor.name: tensor for tensor in graph.initializer}
    known |= {
        made.output[0]: made.attribute[0].t
        for made in graph.node
        if made.op_type == "Constant" and made.attribute and made.attribute[0].name == "value"
    }
    found = [known[name] for name in node.input if name in known]
    return found[0] if len(found) == 1 else None


def _insert_shift(graph: onnx.GraphProto, scaling: onnx.NodeProto, values: np.ndarray) -> None:
    name = f"{scaling.output[0]}_shift"
    shifted = f"{scaling.output[0]}_shifted"
    for node in graph.node:
        for index, tensor in enumerate(node.input):
            if tensor == scaling.output[0]:
                node.input[index] = shifted
    graph.initializer.append(numpy_helper.from_array(values, name))
    place = list(graph.node).index(scaling) + 1
    graph.node.insert(place, helper.make_node("Add", [scaling.output[0], name], [shifted], name=shifted))
