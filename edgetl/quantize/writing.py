"""The pieces that Q/DQ pairs are written with, and how their tensors are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

__all__ = ["ENDINGS", "add_parameters", "pair_half", "rewire"]

ENDINGS = ("_quantized", "_dequantized", "_scale", "_zero_point")
"""What the names of a tensor's quantized form, its way back, and their parameters end in."""


def pair_half(kind: str, source: str, target: str, owner: str, axis: int | None = None) -> onnx.NodeProto:
    """A QuantizeLinear or DequantizeLinear with the parameters of ``owner``."""
    attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
    return helper.make_node(
        kind,
        [source, f"{owner}_scale", f"{owner}_zero_point"],
        [target],
        name=f"{kind}:{owner}",
        **attributes,
    )


def add_parameters(
    proto: onnx.GraphProto, owner: str, scale: npt.NDArray[np.float32], zero: npt.NDArray[np.generic]
) -> None:
    """Scale and zero point of ``owner`` as initialisers."""
    proto.initializer.append(numpy_helper.from_array(scale, f"{owner}_scale"))
    proto.initializer.append(numpy_helper.from_array(zero, f"{owner}_zero_point"))


def rewire(node: onnx.NodeProto, old: str, new: str) -> None:
    """Let a node read another tensor."""
    for place, name in enumerate(node.input):
        if name == old:
            node.input[place] = new
