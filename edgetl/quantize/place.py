"""Write Q/DQ pairs into a float ONNX graph: our ranges, a scheme's places, the same bytes every time."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from edgetl.calibration import ranges
from edgetl.calibration.affine import affine, weight_scale
from edgetl.calibration.range_stats import RangeStats
from edgetl.errors import InputError
from edgetl.quantize import graph as graphs
from edgetl.quantize.absorb import implied
from edgetl.quantize.graph import Graph
from edgetl.quantize.linear import as_convolutions
from edgetl.quantize.plan import Placement, plan
from edgetl.quantize.schemes import Scheme
from edgetl.types import Record

__all__ = ["FloatLayer", "QuantizeReport", "quantize", "tools"]

Parameters = tuple[np.float32, int]

_ENDINGS = ("_quantized", "_dequantized", "_scale", "_zero_point")
"""What the names of a tensor's quantized form, its way back, and their parameters end in."""


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

    def summary(self) -> str:
        """One line: ``47 of 52 layers``."""
        return f"{self.quantized} of {self.quantizable} layers, {self.method} ranges, {self.scheme}"


def quantize(
    model: Path,
    stats: Mapping[str, RangeStats],
    scheme: Scheme,
    method: str,
    out: Path,
    *,
    reduce_range: bool | None = None,
) -> QuantizeReport:
    """Quantize a float model; ``out`` appears whole or not at all.

    Parameters
    ----------
    stats : of the model's activations, by name, as ``observe`` gives them.
    method : how ranges are made from them: a name of ``calibration.ranges`` or ``default``.
    reduce_range : for a processor without VNNI: weights whose sums fit 16 bits (``affine.weight_scale``), and linear
        layers as convolutions (``linear``); ``None`` does as the scheme says.

    Raises
    ------
    InputError : the model cannot be quantized, or the statistics lack one of its tensors.
    """
    if reduce_range is not None:
        scheme = msgspec.structs.replace(scheme, reduce_range=reduce_range)
    graph = graphs.load(model)
    if scheme.reduce_range:
        graph = as_convolutions(graph)
    placement = plan(graph, scheme)
    parameters = _parameters(placement, stats, scheme, method)
    absorbed = _absorb(graph, placement, parameters) if scheme.absorb else 0
    weights = _write_weights(graph, placement, scheme)
    behind = _write_pairs(graph, placement, parameters, scheme)
    _arrange(graph.model.graph, weights, behind)
    _save(graph.model, out)
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


def _write_weights(graph: Graph, placement: Placement, scheme: Scheme) -> list[onnx.NodeProto]:
    """Replace float weights by int8 ones; the DequantizeLinear nodes that bring them back."""
    proto = graph.model.graph
    old = {tensor.name: tensor for tensor in proto.initializer}
    nodes: list[onnx.NodeProto] = []
    for name, axis in placement.weights.items():
        weights = graph.array(name).astype(np.float32)
        scale = weight_scale(weights, axis, reduce_range=scheme.reduce_range)
        shape = [1] * weights.ndim
        shape[axis] = -1
        integers = np.clip(np.rint(weights / scale.reshape(shape)), -127, 127).astype(np.int8)
        proto.initializer.remove(old[name])
        label = graph.label(name, _ENDINGS)
        dequantized = f"{label}_dequantized"
        nodes.append(_pair_half("DequantizeLinear", f"{label}_quantized", dequantized, label, axis))
        proto.initializer.append(numpy_helper.from_array(integers, f"{label}_quantized"))
        _add_parameters(proto, label, scale, np.zeros(scale.shape, np.int8))
        for reader in graph.consumers[name]:
            _rewire(reader, name, dequantized)
    return nodes


def _write_pairs(
    graph: Graph, placement: Placement, parameters: Mapping[str, Parameters], scheme: Scheme
) -> dict[str, list[onnx.NodeProto]]:
    """Let the readers of each tensor read its quantized form; the pair to insert behind each tensor."""
    behind: dict[str, list[onnx.NodeProto]] = {}
    for name, readers in placement.pairs.items():
        scale, zero = parameters[name]
        label = graph.label(name, _ENDINGS)
        _add_parameters(graph.model.graph, label, np.asarray(scale), np.asarray(zero, scheme.activation))
        integers, back = f"{label}_quantized", f"{label}_dequantized"
        behind[name] = [
            _pair_half("QuantizeLinear", name, integers, label),
            _pair_half("DequantizeLinear", integers, back, label),
        ]
        for reader in graph.consumers[name]:
            if reader.name in readers:
                _rewire(reader, name, back)
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


def _pair_half(kind: str, source: str, target: str, owner: str, axis: int | None = None) -> onnx.NodeProto:
    attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
    return helper.make_node(
        kind,
        [source, f"{owner}_scale", f"{owner}_zero_point"],
        [target],
        name=f"{kind}:{owner}",
        **attributes,
    )


def _add_parameters(
    proto: onnx.GraphProto, owner: str, scale: npt.NDArray[np.float32], zero: npt.NDArray[np.generic]
) -> None:
    proto.initializer.append(numpy_helper.from_array(scale, f"{owner}_scale"))
    proto.initializer.append(numpy_helper.from_array(zero, f"{owner}_zero_point"))


def _rewire(node: onnx.NodeProto, old: str, new: str) -> None:
    for place, name in enumerate(node.input):
        if name == old:
            node.input[place] = new


def _save(model: onnx.ModelProto, out: Path) -> None:
    graphs.clear_metadata(model)
    model.producer_name = "edgetl"
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    partial = out.with_name(out.name + ".partial")
    partial.write_bytes(model.SerializeToString(deterministic=True))
    partial.replace(out)
