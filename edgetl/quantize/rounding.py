"""Round the weights of a model's layers by what they answer on pictures, layer by layer and in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from edgetl.calibration.affine import weight_scale
from edgetl.calibration.rounding import round_weights
from edgetl.quantize import graph as graphs
from edgetl.quantize.observe import answers, open_session
from edgetl.quantize.plan import plan, weight_axis
from edgetl.quantize.reads import Grams, Layer, layers_of
from edgetl.quantize.schemes import Scheme
from edgetl.quantize.window import Window

__all__ = ["PICTURES", "round_layers"]

Array = npt.NDArray[Any]

PICTURES = 64
"""Pictures that are enough: their windows outnumber the inputs of any ordinary layer, and more changed nothing."""
MEMORY = 256 * 2**20
"""Bytes of grams held at once; a network with more is gone over several times."""


def round_layers(
    model: Path,
    pictures: Sequence[Array],
    scheme: Scheme,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    memory: int = MEMORY,
) -> dict[str, Array]:
    """Integers for the weights of every layer that the scheme quantizes: layer -> (G, O / G, K) int8.

    Parameters
    ----------
    pictures : as the model's input takes them, (1, ...).
    on_progress : told ``(done, total)`` pictures and layers.
    memory : bytes of grams that are held at once; one layer may exceed it.

    Raises
    ------
    InputError : the model cannot be quantized, or a picture does not fit its input.
    """
    graph = graphs.load(model)
    chosen = set(plan(graph, scheme).layers)
    parts = list(_parts([layer for layer in layers_of(graph) if layer[0].name in chosen], graph, memory))
    total = len(parts) * len(pictures) + sum(map(len, parts))
    done = 0
    found: dict[str, Array] = {}

    def advance(now: int) -> None:
        nonlocal done
        done = now
        if on_progress is not None:
            on_progress(done, total)

    for part in parts:
        grams = Grams(part)
        session, feed = open_session(graph, grams.tensors, model.name)
        before = done
        for fed, arrays in answers(session, feed, pictures):
            grams.update(arrays)
            advance(before + fed)
        for node, window in part:
            found[node.name] = _rounded(
                graph.array(node.input[1]), node, window, grams.found.pop(node.name), scheme
            )
            advance(done + 1)
    return found


def _parts(layers: list[Layer], graph: graphs.Graph, memory: int) -> Iterator[list[Layer]]:
    """The layers in runs whose grams fit the memory."""
    part: list[Layer] = []
    held = 0
    for node, window in layers:
        size = window.matrices(graph.array(node.input[1])).shape[-1]
        needed = 8 * window.groups * size * size
        if part and held + needed > memory:
            yield part
            part, held = [], 0
        part.append((node, window))
        held += needed
    if part:
        yield part


def _rounded(weights: Array, node: onnx.NodeProto, window: Window, gram: Array, scheme: Scheme) -> Array:
    matrices = window.matrices(weights.astype(np.float64))
    scale = weight_scale(weights.astype(np.float32), weight_axis(node), reduce_range=scheme.reduce_range)
    steps = scale.reshape(matrices.shape[:2]).astype(np.float64)
    pairs = (
        scheme.reduce_range and window.groups == 1
    )  # the products of a grouped layer are not added in pairs
    return round_weights(matrices, gram, steps, pair_step=window.taps if pairs else 0)
