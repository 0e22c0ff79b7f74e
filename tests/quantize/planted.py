"""A network whose float answers are ordinary, and that one layer ruins in INT8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from tests.quantize import graphs

CULPRIT = "conv_8"
"""The layer that reads the planted channel."""


def network(path: Path, *, planted: bool, bounded: bool = False) -> Path:
    """Three convolutions and a classifier; ``planted`` scales one channel by 1e3, and undoes it in the next layer.

    All compute the same in float.

    Parameters
    ----------
    bounded : what is between the layers is a Clip whose bound nothing reaches, not a Relu.
    """
    b = graphs.Builder()

    def rectified(source: str) -> str:
        if bounded:
            return b.node("Clip", source, b.const(0.0), b.const(1e6))
        return b.node("Relu", source)

    first = rectified(b.conv(b.first, 3, 16))
    middle = rectified(b.conv(first, 16, 16))
    last = rectified(b.conv(middle, 16, 32))
    b.save(path, b.gemm(b.node("Flatten", b.node("GlobalAveragePool", last)), 32))
    model = onnx.load(path)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    spread = np.concatenate([graphs.run(path, picture) for picture in graphs.pictures(64)])
    bias = tensors[model.graph.node[-1].input[2]]  # so that the classes are answered about equally often
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) - spread.mean(axis=0), bias.name))
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    if planted:
        for name, place, factor in (
            (convolutions[1].input[1], np.s_[3], 1e3),
            (convolutions[1].input[2], np.s_[3], 1e3),
            (convolutions[2].input[1], np.s_[:, 3], 1e-3),
        ):
            array = numpy_helper.to_array(tensors[name]).copy()
            array[place] *= factor
            tensors[name].CopyFrom(numpy_helper.from_array(array, name))
    onnx.save(model, path)
    return path
