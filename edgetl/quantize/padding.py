"""A Pad with zeros before a convolution is padding of the convolution, which costs no pass over the picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgetl.quantize import files

__all__ = ["fold"]

Sides = list[int]
"""Top, left, bottom, right."""


def fold(graph: onnx.GraphProto, readers: Mapping[str, int]) -> None:
    """Put every Pad that pads pictures with zeros, and that convolutions alone read, into those, in place.

    Parameters
    ----------
    readers : how often each tensor is read, in bodies and as an output of the graph too.
    """
    ranks = {tensor.name: len(tensor.dims) for tensor in graph.initializer}
    held = {tensor.name: tensor for tensor in graph.initializer if not files.is_outside(tensor)}
    for pad in [node for node in graph.node if node.op_type == "Pad" and not node.domain]:
        reading = [
            n for n in graph.node if n.op_type == "Conv" and not n.domain and n.input[0] == pad.output[0]
        ]
        sides = _sides(pad, held)
        own = [_own(node) if ranks.get(node.input[1]) == 4 else None for node in reading]
        if sides is None or None in own or len(reading) != readers[pad.output[0]]:
            continue
        for node, before in zip(reading, own, strict=True):
            assert before is not None
            _set_pads(node, [a + b for a, b in zip(sides, before, strict=True)])
            node.input[0] = pad.input[0]
        graph.node.remove(pad)


def _sides(pad: onnx.NodeProto, held: Mapping[str, onnx.TensorProto]) -> Sides | None:
    """What a Pad adds around a picture, (N, C, H, W); ``None`` where it does anything else."""
    _, amounts, *others = pad.input
    value, axes = (*others, "", "")[:2]
    mode = next((a.s for a in pad.attribute if a.name == "mode"), b"constant")
    if mode != b"constant" or any(name and name not in held for name in (amounts, value, axes)):
        return None
    if value and np.any(numpy_helper.to_array(held[value])):
        return None
    told = numpy_helper.to_array(held[amounts]).tolist()
    along = numpy_helper.to_array(held[axes]).tolist() if axes else [0, 1, 2, 3]
    if len(told) != 2 * len(along) or min(told, default=0) < 0:
        return None
    begins, ends = [0] * 4, [0] * 4
    for axis, begin, end in zip(along, told[: len(along)], told[len(along) :], strict=True):
        if not -4 <= axis < 4:
            return None
        begins[axis], ends[axis] = begin, end
    return None if any(begins[:2] + ends[:2]) else begins[2:] + ends[2:]


def _own(node: onnx.NodeProto) -> Sides | None:
    """The padding of a convolution of pictures; ``None`` where their size tells it."""
    told = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if told.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        return None
    return list(told.get("pads", [0] * 4))


def _set_pads(node: onnx.NodeProto, pads: Sides) -> None:
    for attribute in [a for a in node.attribute if a.name in ("pads", "auto_pad")]:
        node.attribute.remove(attribute)
    node.attribute.append(helper.make_attribute("pads", pads))
