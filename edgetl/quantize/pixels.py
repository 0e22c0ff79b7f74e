"""The way of pixels into a graph, as TensorRT takes it: a uint8 input goes into a Cast, and nowhere else.

No other layer of TensorRT reads uint8, not even one that only moves values (NVIDIA/TensorRT#3985); OpenVINO, where the
cast comes for nothing with the first multiplication, would lose 1 % to it. So it is done for TensorRT alone.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto

from edgetl.quantize.graph import Graph

__all__ = ["cast_first", "with_cast_first"]

MOVING = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


def with_cast_first(graph: Graph) -> Graph:
    """The same network with its pixels cast before they are moved; the given one where they are already."""
    if not cast_first(graph.model):
        return graph
    return Graph(onnx.shape_inference.infer_shapes(graph.model, strict_mode=False), graph.path)


def cast_first(model: onnx.ModelProto) -> bool:
    """Put the Cast of every uint8 input before what moves its values, in place; whether anything was changed.

    Values are the same to the bit: a cast changes each for itself.
    """
    pixels = [
        value.name for value in model.graph.input if value.type.tensor_type.elem_type == TensorProto.UINT8
    ]
    return any([_swap(model.graph, name) for name in pixels])


def _swap(graph: onnx.GraphProto, pixels: str) -> bool:
    """Move one input's Cast to the front, where a chain of single readers leads to it."""
    chain: list[onnx.NodeProto] = []
    tensor = pixels
    while True:
        readers = [
            node for node in graph.node if node.input and node.input[0] == tensor and node.op_type != "Shape"
        ]
        if len(readers) != 1:
            return False
        if readers[0].op_type == "Cast":
            break
        if readers[0].op_type not in MOVING:
            return False
        chain.append(readers[0])
        tensor = readers[0].output[0]
    if not chain:
        return False
    cast = readers[0]
    moved, floats = chain[-1].output[0], cast.output[0]
    graph.node.remove(cast)
    for node in graph.node:
        _read(node, pixels, f"{pixels}_cast")
    chain[-1].output[0] = floats  # whoever read the cast, reads the same values by the same name
    for node in graph.node:
        _read(node, moved, floats)
    cast.input[0], cast.output[0] = pixels, f"{pixels}_cast"
    graph.node.insert(0, cast)
    stale = {name for node in chain for name in node.output}
    for value in [value for value in graph.value_info if value.name in stale]:
        graph.value_info.remove(value)
    return True


def _read(node: onnx.NodeProto, old: str, new: str) -> None:
    for place, name in enumerate(node.input):
        if name == old:
            node.input[place] = new
