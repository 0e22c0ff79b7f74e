"""What the last layer with weights reads: features of samples, for a model that nobody split into backbone and head."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from edgetl.errors import InputError
from edgetl.quantize import graph as graphs
from edgetl.quantize.observe import Sample, answers, open_session

__all__ = ["penultimate", "with_features"]

Array = npt.NDArray[Any]


def penultimate(model: Path, images: Iterable[Sample]) -> Array:
    """Features of the images, float32 (N, D): pictures and tokens are averaged over their places.

    Raises
    ------
    InputError : the model cannot be read, an image does not fit its input, there is none, or a feature is not finite.
    """
    graph = graphs.load(model)
    *_, last = graph.weighted()
    read = last.input[0]
    session, feed = open_session(graph, [read], model.name)
    rows, done = [], 0
    for fed, arrays in answers(session, feed, images):
        rows.append(_averaged(arrays[read]))
        done = fed
    if not rows:
        raise InputError("there is no image to choose from")
    features = np.concatenate(rows)[:done]  # the last batch may have been filled up
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        raise InputError(
            f"{model.name} gives NaN or infinity for image {int(np.argmin(finite))} of those to choose from",
            hint="leave it out, or mend the model",
        )
    return features


def with_features(model: Path, out: Path) -> None:
    """Write a classifier with two outputs: its logits, and what its last layer with weights reads.

    Raises
    ------
    InputError : the model cannot be read.
    """
    graph = graphs.load(model)
    *_, last = graph.weighted()
    read = last.input[0]
    shape = graph.shape(read) or (
        [None, None] if last.op_type == "Gemm" else None
    )  # a flattening may hide it
    del graph.model.graph.output[1:]
    features = onnx.helper.make_tensor_value_info(read, onnx.TensorProto.FLOAT, shape)
    graph.model.graph.output.append(features)
    graphs.save(graph.model, model, out)


def _averaged(values: Array) -> Array:
    tokens = values.ndim == 3  # (N, tokens, channels)
    places = (1,) if tokens else tuple(range(2, values.ndim))
    averaged: Array = values.mean(axis=places)
    return averaged
