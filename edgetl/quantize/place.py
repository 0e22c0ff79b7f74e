"""Write Q/DQ pairs into a float ONNX graph: our ranges, a scheme's places, the same bytes every time."""

from __future__ import annotations

from collections.abc import Mapping, Set
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnx

from edgetl.calibration import ranges
from edgetl.calibration.affine import affine
from edgetl.calibration.range_stats import RangeStats
from edgetl.errors import InputError
from edgetl.quantize import graph as graphs
from edgetl.quantize.absorb import implied
from edgetl.quantize.centre import centre
from edgetl.quantize.graph import Graph
from edgetl.quantize.linear import as_convolutions
from edgetl.quantize.pixels import with_cast_first
from edgetl.quantize.plan import Placement, plan
from edgetl.quantize.schemes import Scheme
from edgetl.quantize.statistics import Statistics
from edgetl.quantize.weights import write_weights
from edgetl.quantize.writing import ENDINGS, add_parameters, pair_half, rewire
from edgetl.types import Record

__all__ = ["FloatLayer", "QuantizeReport", "quantize", "tools"]

Parameters = tuple[np.float32, int]


class FloatLayer(Record, frozen=True, kw_only=True):
    """A layer with weights that stays in float, and why."""

    name: str
    op: str
    reason: str


class QuantizeReport(Record, frozen=True, kw_only=True):
    """What was quantized.

    Attributes
    ----------
    quantizable : layers with weights (Conv, ConvTranspose, Gemm, MatMul). quantized : those in integers.
    layers : names of the quantized ones. left_float : the others, with the reason.
    float_operators : operators that the scheme has no rule for, and how many there are of each; control flow is here.
    pairs : Q/DQ pairs on activations. absorbed : Relu and Clip nodes that the integers made superfluous.
    """

    scheme: str
    method: str
    reduce_range: bool
    quantizable: int
    quantized: int
    pairs: int
    absorbed: int
    layers: tuple[str, ...]
    left_float: tuple[FloatLayer, ...]
    float_operators: dict[str, int]

    def summary(self) -> str:
        """One line: ``47 of 52 layers``."""
        return f"{self.quantized} of {self.quantizable} layers, {self.method} ranges, {self.scheme}"


def quantize(
    model: Path,
    stats: Statistics,
    scheme: Scheme,
    method: str,
    out: Path,
    *,
    reduce_range: bool | None = None,
    rounded: Mapping[str, npt.NDArray[Any]] | None = None,
    kept: Set[str] = frozenset(),
) -> QuantizeReport:
    """Quantize a float model; ``out`` appears whole or not at all.

    Parameters
    ----------
    stats : of the model, as ``observe`` gives them. Biases are corrected by what layers read on average.
    method : how ranges are made from them: a name of ``calibration.ranges`` or ``default``.
    reduce_range : for a processor without VNNI: weights whose sums fit 16 bits (``affine.weight_scale``), and linear
        layers as convolutions (``linear``); ``None`` does as the scheme says.
    rounded : integers of weights, as ``rounding.round_layers`` gives them; rounded to the nearest without.
    kept : names of layers that stay in float.

    Raises
    ------
    InputError : the model cannot be quantized, or the statistics lack one of its tensors.
    """
    if reduce_range is not None:
        scheme = msgspec.structs.replace(scheme, reduce_range=reduce_range)
    graph = graphs.load(model)
    if scheme.cast_first:
        graph = with_cast_first(graph)
    if scheme.reduce_range:
        graph = as_convolutions(graph)
    placement = plan(graph, scheme, kept)
    parameters = _parameters(placement, stats.ranges, scheme, method)
    means: Mapping[str, npt.NDArray[Any]] = stats.means
    if scheme.centre:
        centred = centre(graph, placement, stats.ranges, ranges.find(method))
        graph = centred.graph
        parameters |= {name: (scale, 0) for name, scale in centred.scales.items()}
        means = {name: mean - centred.moved.get(name, 0.0) for name, mean in means.items()}
    absorbed = _absorb(graph, placement, parameters) if scheme.absorb else 0
    weights = write_weights(graph, placement, scheme, means, rounded or {})
    behind = _write_pairs(graph, placement, parameters, scheme)
    _arrange(graph.model.graph, weights, behind)
    graphs.save(graph.model, model, out)
    nodes = {node.name: node for node in graph.model.graph.node}
    left = tuple(FloatLayer(name=n, op=nodes[n].op_type, reason=why) for n, why in placement.left.items())
    return QuantizeReport(
        scheme=scheme.name,
        method=ranges.DEFAULT if method == "default" else method,
        reduce_range=scheme.reduce_range,
        quantizable=len(placement.layers) + len(left),
        quantized=len(placement.layers),
        pairs=len(placement.pairs),
        absorbed=absorbed,
        layers=tuple(placement.layers),
        left_float=left,
        float_operators=placement.unknown,
    )


def tools() -> dict[str, str]:
    """Versions of the libraries that shape the result."""
    return {name: version(name) for name in ("numpy", "onnx")}


def _parameters(
    placement: Placement, stats: Mapping[str, RangeStats], scheme: Scheme, method: str
) -> dict[str, Parameters]:
    """Scale and zero point of every tensor that gets a pair."""
    missing = [name for name in placement.pairs if name not in stats]
    if missing:
        raise InputError(
            f"the statistics lack {len(missing)} of {len(placement.pairs)} tensors, the first is {missing[0]!r}",
            hint="calibrate this very model",
        )
    find_range = ranges.find(method)
    found = {name: find_range(stats[name], symmetric=scheme.symmetric) for name in placement.pairs}
    for group in placement.equal:
        widest = (min(found[name][0] for name in group), max(found[name][1] for name in group))
        found.update(dict.fromkeys(group, widest))
    return {
        name: affine(low, high, scheme.activation, symmetric=scheme.symmetric)
        for name, (low, high) in found.items()
    }


def _absorb(graph: Graph, placement: Placement, parameters: Mapping[str, Parameters]) -> int:
    """Take out each Relu and Clip whose output is read in integers alone that saturate where it does."""
    gone: list[onnx.NodeProto] = []
    for name, (scale, zero) in parameters.items():
        node = graph.producer.get(name)
        if node is None or node.op_type not in ("Relu", "Clip") or name in graph.outputs:
            continue
        if any(reader.name not in placement.pairs[name] for reader in graph.consumers[name]):
            continue  # it is read in float too
        source = node.input[0]
        if len(graph.consumers[source]) > 1 or source in graph.outputs or source not in graph.producer:
            continue
        if implied(graph, node, float(scale), zero):
            before = graph.producer[source]
            before.output[list(before.output).index(source)] = name
            graph.producer[name] = before
            gone.append(node)
    for node in gone:
        graph.model.graph.node.remove(node)
    return len(gone)


def _write_pairs(
    graph: Graph, placement: Placement, parameters: Mapping[str, Parameters], scheme: Scheme
) -> dict[str, list[onnx.NodeProto]]:
    """Let the readers of each tensor read its quantized form; the pair to insert behind each tensor."""
    behind: dict[str, list[onnx.NodeProto]] = {}
    for name, readers in placement.pairs.items():
        scale, zero = parameters[name]
        label = graph.label(name, ENDINGS)
        add_parameters(graph.model.graph, label, np.asarray(scale), np.asarray(zero, scheme.activation))
        integers, back = f"{label}_quantized", f"{label}_dequantized"
        behind[name] = [
            pair_half("QuantizeLinear", name, integers, label),
            pair_half("DequantizeLinear", integers, back, label),
        ]
        for reader in graph.consumers[name]:
            if reader.name in readers:
                rewire(reader, name, back)
    return behind


def _arrange(
    proto: onnx.GraphProto, weights: list[onnx.NodeProto], behind: dict[str, list[onnx.NodeProto]]
) -> None:
    """Put the new nodes in their places, in topological order.

    Done once and last: a protobuf list copies what it is given, so nodes that were looked up before are stale after it.
    """
    arranged = [*weights]
    for value in proto.input:
        arranged.extend(behind.pop(value.name, ()))
    for node in proto.node:
        arranged.append(node)
        for name in node.output:
            arranged.extend(behind.pop(name, ()))
    del proto.node[:]
    proto.node.extend(arranged)
