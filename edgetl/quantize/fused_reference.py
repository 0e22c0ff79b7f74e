"""What a model with a fused head answers without TensorRT, and how far that is from the plain one on real pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

from edgetl.errors import GateFailed
from edgetl.ops.head import reference as twin
from edgetl.quantize import files, reference
from edgetl.quantize import graph as graphs
from edgetl.quantize.fused_head import fused_node
from edgetl.runtime.prediction import PROBABILITIES, as_logits, normalised
from edgetl.types import Record

__all__ = ["Comparison", "answers", "compare"]

Array = npt.NDArray[Any]
EXACT, HALF = 1e-3, 1e-2
"""Largest difference of a logit as a share of the largest: between sums in float32, and to a graph that has FP16."""


class Comparison(Record, frozen=True, kw_only=True):
    """A fused head against the plain one, logits brought to logarithms of probabilities.

    Attributes
    ----------
    rewriting : largest difference of a logit, as a share of the largest, to the plain head without its quantizers.
    difference : the same with them, so with the rounding that the fused head is rid of.
    agreement : share of pictures with the same likeliest class as with them. n : pictures.
    """

    rewriting: float
    difference: float
    agreement: float
    n: int


def answers(model: Path, pictures: Array) -> dict[str, Array]:
    """What a fused model answers for pictures, uint8 (N, H, W, 3): ONNX Runtime up to the node, then the kernel's twin.

    Returns
    -------
    ``probabilities`` float32 (N, classes), ``indices`` int32 (N, k), ``scores`` float32 (N, k).
    """
    loaded = files.read(model)
    node = fused_node(loaded)
    assert node is not None
    held = {tensor.name: tensor for tensor in loaded.graph.initializer}
    weights, bias = (numpy_helper.to_array(held[name]) for name in node.input[1:])
    top_k = next(attribute.i for attribute in node.attribute if attribute.name == "top_k")
    loaded.graph.node.remove(node)
    features = _run(loaded, model, node.input[0], pictures)
    told = twin(features, weights, bias, top_k=top_k)
    assert told.probabilities is not None
    return {PROBABILITIES: told.probabilities, "indices": told.indices, "scores": told.scores}


def compare(plain: Path, fused: Path, pictures: Array) -> Comparison:
    """Hold the fused model against the one that it was made from.

    Parameters
    ----------
    pictures : uint8 (N, H, W, 3), real ones.

    Raises
    ------
    GateFailed : the node is not the head that it stands for, or a logit is not finite.
    """
    graph = graphs.read(plain)
    output = graph.model.graph.output[0].name
    as_it_is = normalised(_run(graph.model, plain, output, pictures).astype(np.float32))
    found = as_logits(PROBABILITIES, answers(fused, pictures)[PROBABILITIES])
    _bypass_pairs(graph, {node.name for node in files.read(fused).graph.node})
    without = normalised(_run(graph.model, plain, output, pictures).astype(np.float32))
    rewriting = _share(found, without)
    limit = HALF if _has_half(graph) else EXACT
    if not rewriting <= limit:  # so that NaN fails, too
        raise GateFailed(
            f"the fused head of {plain.name} differs from the plain one by {rewriting:.1e} of the largest logit, "
            f"at most {limit:g} is allowed",
            hint="build without --fused-head, and please report the model's name",
            difference=rewriting,
        )
    agreement = float((found.argmax(axis=1) == as_it_is.argmax(axis=1)).mean())
    return Comparison(
        rewriting=rewriting, difference=_share(found, as_it_is), agreement=agreement, n=len(pictures)
    )


def _share(found: Array, expected: Array) -> float:
    return float(np.abs(found - expected).max() / max(float(np.abs(expected).max()), 1e-12))


def _bypass_pairs(graph: graphs.Graph, kept: set[str]) -> None:
    """Let what reads a pair that the fused head has not read what the pair reads."""
    for back in graph.model.graph.node:
        pair = graph.producer.get(back.input[0]) if back.op_type == "DequantizeLinear" else None
        if back.name in kept or pair is None or pair.op_type != "QuantizeLinear":
            continue
        for reader in graph.consumers.get(back.output[0], ()):
            for place, name in enumerate(reader.input):
                if name == back.output[0]:
                    reader.input[place] = pair.input[0]


def _has_half(graph: graphs.Graph) -> bool:
    return any(tensor.data_type == TensorProto.FLOAT16 for tensor in graph.model.graph.initializer)


def _run(model: Any, path: Path, tensor: str, pictures: Array) -> Array:
    """One tensor of a model for all pictures; the last batch of a fixed one is filled up and cut again."""
    made = helper.make_empty_tensor_value_info(tensor)
    session = reference.session_of(model, path, [made], float_pairs=True)
    given = session.get_inputs()[0]
    rows = given.shape[0] if isinstance(given.shape[0], int) else len(pictures)
    found = []
    for start in range(0, len(pictures), rows):
        part = pictures[start : start + rows]
        whole = np.resize(part, (rows, *part.shape[1:]))
        found.append(session.run([tensor], {given.name: whole})[0][: len(part)])
    return np.concatenate(found)
