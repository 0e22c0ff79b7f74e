"""Centre what is never negative, so that integers with zero point 0 are all used on it.

A Relu leaves half of a symmetric int8 unused: one bit. What a layer gives may be moved down by a constant in its bias,
and moved back in the biases of the layers that read it: then the zero point 128 that uint8 would have is in the biases,
the target sees zero point 0, and what the integers saturate at is what the Relu did. Nothing is added to the graph.

Readers that pad with zeros do not take part: zero is another value after the move. (Wei et al. 2023, arXiv:2304.09145,
move each channel so, against outliers.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper, shape_inference

from edgetl.calibration.range_stats import RangeStats
from edgetl.quantize.absorb import limits
from edgetl.quantize.graph import Graph
from edgetl.quantize.half_scales import half_above
from edgetl.quantize.plan import Placement
from edgetl.quantize.window import window_of
from edgetl.quantize.writing import rewire

__all__ = ["Centred", "centre"]

Array = npt.NDArray[Any]

LEVELS, MIDDLE = 255, 128
"""Steps of the whole range, and how many of them the smallest integer is below zero."""
_MOVED = frozenset({"Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"})
_AVERAGED = frozenset({"GlobalAveragePool", "ReduceMean"})
"""Operators that give what is moved by a constant where what they read is."""


@dataclass(frozen=True)
class Centred:
    """A graph with tensors moved down.

    Attributes
    ----------
    graph : with look-ups of its own.
    scales : of the tensors that were moved; the range is all of int8.
    moved : layer that reads one of them -> by how much its input was moved down.
    """

    graph: Graph
    scales: dict[str, np.float32] = field(default_factory=dict)
    moved: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Site:
    """A tensor that can be moved: the Relu or Clip that it comes from, the layer before that, its readers."""

    tensor: str
    clip: onnx.NodeProto
    layer: onnx.NodeProto
    readers: tuple[onnx.NodeProto, ...]


def centre(
    graph: Graph,
    placement: Placement,
    ranges: Mapping[str, RangeStats],
    find_range: Callable[..., tuple[float, float]],
) -> Centred:
    """Move every tensor that can be and gets a pair; ``placement`` follows where a tensor gets another name.

    The scale is one that FP16 holds, for the constant that was moved by is a multiple of it.
    """
    found = Centred(graph)
    biases: dict[str, Array] = {}
    sites = [site for name in placement.pairs if (site := _site(graph, placement, name)) is not None]
    for site in sites:
        _, high = find_range(ranges[site.tensor], symmetric=False)
        scale = half_above(np.array([high / LEVELS], np.float32))[0]
        if not 0 < scale < np.inf:
            continue
        shift = float(scale) * MIDDLE
        outputs = len(graph.array(site.layer.input[1]))
        biases[site.layer.name] = biases.get(site.layer.name, 0.0) - np.full(outputs, shift)
        for reader in site.readers:
            biases[reader.name] = biases.get(reader.name, 0.0) + shift * _sums(graph, reader)
            found.moved[reader.name] = shift
        found.scales[_clip(graph, placement, site, scale)] = scale
    if not found.scales:
        return found
    for node in graph.model.graph.node:
        if node.name in biases:
            _add_bias(graph, node, biases[node.name])
    inferred = shape_inference.infer_shapes(graph.model, strict_mode=False)
    return Centred(Graph(inferred, graph.path), found.scales, found.moved)


def _site(graph: Graph, placement: Placement, name: str) -> _Site | None:
    readers = _readers(graph, name)
    chosen = set(placement.layers)
    if readers is None or not all(node.name in chosen and _foldable(graph, node) for node in readers):
        return None
    clip = graph.producer.get(name)
    while clip is not None and clip.op_type in _MOVED | _AVERAGED and _read_once(graph, clip.input[0]):
        if clip.input[0] in placement.pairs:
            return None  # its scale would not hold the moved zero exactly, which is what most values are
        clip = graph.producer.get(clip.input[0])
    if clip is None or clip.op_type not in ("Relu", "Clip") or limits(graph, clip)[0] != 0.0:
        return None
    layer = graph.producer.get(clip.input[0])
    if layer is None or layer.op_type != "Conv" or not _foldable(graph, layer, padded=True):
        return None
    if not _read_once(graph, clip.input[0]) or any(group & {name} for group in placement.equal):
        return None
    if any(reader.name not in placement.pairs[name] for reader in graph.consumers[name]):
        return None
    return _Site(name, clip, layer, tuple(readers))


def _read_once(graph: Graph, name: str) -> bool:
    return len(graph.consumers[name]) == 1 and name not in graph.outputs


def _readers(graph: Graph, name: str) -> list[onnx.NodeProto] | None:
    """What computes with a tensor, operators that only move it looked through; ``None`` where it is an output."""
    if name in graph.outputs:
        return None
    found: list[onnx.NodeProto] = []
    for reader in graph.consumers.get(name, ()):
        if reader.op_type not in _MOVED:
            found.append(reader)
        elif (behind := _readers(graph, reader.output[0])) is None:
            return None
        else:
            found += behind
    return found


def _foldable(graph: Graph, node: onnx.NodeProto, *, padded: bool = False) -> bool:
    """Whether a layer's bias takes up a constant that is added to its input, or to its output if it is ``padded``."""
    if node.op_type not in ("Conv", "Gemm") or not graph.is_weight(node.input[1]):
        return False
    window = window_of(node, graph.array(node.input[1]))
    given = node.input[2] if len(node.input) > 2 else ""
    if given and not (given in graph.constants and graph.array(given).ndim == 1):
        return False
    return padded or (window is not None and not any(window.pads))


def _sums(graph: Graph, node: onnx.NodeProto) -> Array:
    """What a layer without padding adds to each of its outputs when 1 is added to its input: (O,)."""
    weights = graph.array(node.input[1]).astype(np.float64)
    window = window_of(node, weights)
    assert window is not None, "a site has none"
    sums: Array = window.matrices(weights).sum(axis=2).reshape(-1)
    return sums


def _clip(graph: Graph, placement: Placement, site: _Site, scale: np.float32) -> str:
    """Take out a Relu or Clip that the integers imply, or move its ends; the name of the moved tensor."""
    proto = graph.model.graph
    low, high = (limit - float(scale) * MIDDLE for limit in limits(graph, site.clip))
    name = graph.label(site.clip.output[0], ("_centred",)) + "_centred"
    largest = LEVELS - MIDDLE
    if (
        site.clip.output[0] == site.tensor and high >= (largest - 0.5) * scale
    ):  # it rounds to the largest integer
        site.layer.output[0] = name
        for reader in graph.consumers[site.tensor]:
            rewire(reader, site.tensor, name)
        proto.node.remove(site.clip)
        placement.pairs[name] = placement.pairs.pop(site.tensor)
        return name
    site.clip.op_type = "Clip"
    del site.clip.input[1:]
    for ending, limit in (("_low", low), ("_high", high)):
        if np.isfinite(limit):
            proto.initializer.append(numpy_helper.from_array(np.float32(limit), name + ending))
            site.clip.input.append(name + ending)
    return site.tensor


def _add_bias(graph: Graph, node: onnx.NodeProto, added: Array) -> None:
    given = node.input[2] if len(node.input) > 2 else ""
    bias = graph.array(given).astype(np.float64) if given else 0.0
    name = graph.label(given or node.name, ("_centred",)) + "_centred"
    graph.model.graph.initializer.append(numpy_helper.from_array((bias + added).astype(np.float32), name))
    if given:
        node.input[2] = name
    else:
        node.input.append(name)
