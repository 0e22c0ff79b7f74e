"""Relu and Clip that the integers behind them imply: how they are told, for whoever drops or reports them."""

from __future__ import annotations

import numpy as np
import onnx

from edgetl.quantize.graph import Graph

__all__ = ["implied", "limits"]


def limits(graph: Graph, node: onnx.NodeProto) -> tuple[float, float]:
    """The interval that a Relu or a Clip keeps; an empty one where it is computed as the model runs."""
    found = [-np.inf, np.inf]
    if node.op_type == "Relu":
        found[0] = 0.0
    for place, name in enumerate(node.input[1:3]):
        if name in graph.constants:
            found[place] = float(graph.array(name))
        elif name:
            return np.inf, -np.inf  # not known before it runs: nothing can imply it
    return found[0], found[1]


def implied(graph: Graph, node: onnx.NodeProto, scale: float, zero_point: int) -> bool:
    """Whether uint8 with this scale and zero point saturates where a Relu or a Clip does."""
    low, high = limits(graph, node)
    return -zero_point * scale >= low - 1e-6 * scale and (255 - zero_point) * scale <= high * (1 + 1e-6)
