"""An ONNX graph, read and checked before it is observed, quantized or judged; all see the same names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper, shape_inference, version_converter

from edgetl.errors import InputError

__all__ = [
    "OPSET",
    "WEIGHTED",
    "Graph",
    "Shape",
    "clear_metadata",
    "is_quantized",
    "load",
    "read",
    "reads",
    "save",
]

OPSET = 13
"""The first opset in which QuantizeLinear takes a scale for each channel."""
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators that multiply by weights: the layers that are counted as quantizable."""
Shape = list[int | None]
_DOMAINS = ("", "ai.onnx")
_QUANTIZED = frozenset(
    {
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "QLinearConv",
        "QLinearMatMul",
        "ConvInteger",
        "MatMulInteger",
    }
)


class Graph:
    """A model with the look-ups that placement needs.

    Attributes
    ----------
    model : the ONNX model; changing it makes the look-ups stale.
    producer : tensor -> the node that makes it.
    consumers : tensor -> nodes that read it, in graph order; a node also reads what its branches and bodies do.
    constants : names of the initialisers.
    floats : names of float32 tensors that are not constants.
    outputs : names of the graph's outputs.
    opset : of ONNX's own operators.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        graph = model.graph
        self.producer = {name: node for node in graph.node for name in node.output}
        self.consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in dict.fromkeys(reads(node)):
                self.consumers.setdefault(name, []).append(node)
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.constants = frozenset(self._initializers)
        self._names = {*self.producer, *self.consumers, *self._initializers}
        self.outputs = frozenset(value.name for value in graph.output)
        self.opset = _opset(model)
        self._types = _types(graph)
        self.floats = frozenset(
            name
            for name, (kind, _) in self._types.items()
            if kind == onnx.TensorProto.FLOAT and name not in self.constants
        )

    def array(self, name: str) -> npt.NDArray[np.generic]:
        """The value of a constant."""
        return numpy_helper.to_array(self._initializers[name])

    def kind(self, name: str) -> int:
        """ONNX's number of a tensor's element type, 0 where it is not known."""
        return self._types.get(name, (0, None))[0]

    def shape(self, name: str) -> Shape | None:
        """A tensor's shape as far as it is known, ``None`` for a dimension or a rank that is not."""
        return self._types.get(name, (0, None))[1]

    def label(self, name: str, endings: Iterable[str]) -> str:
        """``name``, made longer until none of the names that it makes with the endings is taken; then they are."""
        while any(name + ending in self._names for ending in endings):
            name += "_"
        self._names.update(name + ending for ending in endings)
        return name

    def is_weight(self, name: str) -> bool:
        """Whether this is a float32 constant."""
        return name in self.constants and self._initializers[name].data_type == onnx.TensorProto.FLOAT

    def weighted(self) -> Iterator[onnx.NodeProto]:
        """Conv, ConvTranspose, Gemm and MatMul nodes with constant float32 weights."""
        return (n for n in self.model.graph.node if n.op_type in WEIGHTED and self.is_weight(n.input[1]))


def _types(graph: onnx.GraphProto) -> dict[str, tuple[int, Shape | None]]:
    found: dict[str, tuple[int, Shape | None]] = {}
    for value in [*graph.input, *graph.value_info, *graph.output]:
        tensor = value.type.tensor_type
        dims = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
        found[value.name] = (tensor.elem_type, dims if tensor.HasField("shape") else None)
    for constant in graph.initializer:
        found[constant.name] = (constant.data_type, list(constant.dims))
    return found


def load(path: Path) -> Graph:
    """Read a model with its external data, check that it can be quantized, and bring it to a common form.

    Constant nodes become initialisers, initialisers stop being inputs, opsets below 13 are raised, shapes are
    inferred, every node has a name, and metadata (which holds source paths) is cleared.

    Raises
    ------
    InputError : not an ONNX file; quantized already; an operator that ONNX does not define; nothing to
        quantize; NaN or infinity in a weight.
    """
    model = _read(path)
    _refuse_foreign(model, path.name)
    clear_metadata(model)
    _common_form(model.graph)
    model = _inferred(_raised(model, path.name, OPSET), path.name)
    _name_nodes(model.graph)
    graph = Graph(model)
    if not any(graph.weighted()):
        raise InputError(
            f"{path.name} has no float32 Conv, Gemm or MatMul with constant weights: there is nothing to quantize"
        )
    _refuse_non_finite(graph, path.name)
    return graph


def read(path: Path, *, opset: int = 1) -> Graph:
    """Read any model, quantized ones too, to look at it: constants lifted, shapes inferred, every node with a name.

    Parameters
    ----------
    opset : an older one is raised to it.

    Raises
    ------
    InputError : not an ONNX file; weights beside it are missing; its shapes contradict one another; its opset
        cannot be raised.
    """
    model = _read(path)
    _common_form(model.graph)
    model = _inferred(_raised(model, path.name, opset), path.name)
    _name_nodes(model.graph)
    return Graph(model)


def is_quantized(path: Path) -> bool:
    """Whether some operator of a model computes with or makes integers of 8 bits; its weights are not read.

    Raises
    ------
    InputError : not an ONNX file.
    """
    return any(_quantizes(node) for node in _read_nodes(path).graph.node)


def _quantizes(node: onnx.NodeProto) -> bool:
    return node.op_type in _QUANTIZED or node.op_type.startswith("QLinear")


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """What a node reads, in its branches and bodies too."""
    yield from node.input
    for attribute in node.attribute:
        for body in (attribute.g, *attribute.graphs):
            for inner in body.node:
                yield from reads(inner)


def save(model: onnx.ModelProto, out: Path) -> None:
    """Check a model of ours and write it, whole or not at all; the same model gives the same bytes."""
    clear_metadata(model)
    model.producer_name = "edgetl"
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    partial = out.with_name(out.name + ".partial")
    partial.write_bytes(model.SerializeToString(deterministic=True))
    partial.replace(out)


def clear_metadata(model: onnx.ModelProto) -> None:
    """Drop what depends on who exported the model and where: metadata, doc strings, producer."""
    del model.metadata_props[:]
    model.doc_string = model.producer_name = model.producer_version = ""
    graph = model.graph
    graph.doc_string = ""
    parts = [
        graph,
        *graph.node,
        *graph.value_info,
        *graph.input,
        *graph.output,
        *graph.initializer,
        *model.functions,
    ]
    for part in parts:
        del part.metadata_props[:]
        part.doc_string = ""


def _read(path: Path) -> onnx.ModelProto:
    model = _read_nodes(path)
    try:
        for location in sorted(_external(model)):
            if not (path.parent / location).is_file():
                raise InputError(
                    f"{path.name} keeps weights in {location}, which is missing",
                    hint="keep .onnx and .data together",
                )
        onnx.load_external_data_for_model(model, str(path.parent))
    except (ValueError, OSError, onnx.checker.ValidationError) as error:
        raise _unreadable(path, error) from error
    return model


def _read_nodes(path: Path) -> onnx.ModelProto:
    """The graph without what is kept beside it."""
    try:
        model = onnx.load(path, load_external_data=False)
    except FileNotFoundError as error:
        raise InputError(f"no such model: {path}", hint="give the path of an .onnx file") from error
    except (DecodeError, ValueError, OSError) as error:
        raise _unreadable(path, error) from error
    if not model.graph.node:
        raise InputError(f"{path.name} is not an ONNX model, or one without a node")
    return model


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path.name} cannot be read as ONNX: {_line(error)}")


def _external(model: onnx.ModelProto) -> set[str]:
    """Names of the files beside the model that hold weights of it."""
    entries = (entry for tensor in model.graph.initializer for entry in tensor.external_data)
    return {entry.value for entry in entries if entry.key == "location"}


def _refuse_foreign(model: onnx.ModelProto, name: str) -> None:
    for node in model.graph.node:
        if _quantizes(node):
            raise InputError(
                f"{name} is quantized already: it has {node.op_type} nodes",
                hint="give the float32 model it came from",
            )
    version = _opset(model)
    local = {(function.domain, function.name) for function in model.functions}
    for node in model.graph.node:
        if (node.domain, node.op_type) in local:
            continue
        if node.domain not in _DOMAINS or not onnx.defs.has(
            node.op_type, max_inclusive_version=version, domain=""
        ):
            where = f" of domain {node.domain!r}" if node.domain not in _DOMAINS else ""
            raise InputError(
                f"{name} has an operator {node.op_type!r}{where} that ONNX opset {version} does not define",
                hint="export it with operators of ONNX alone",
            )


def _common_form(graph: onnx.GraphProto) -> None:
    """Constant nodes become initialisers, initialisers stop being inputs, an unknown shape stops being a scalar."""
    _lift_constants(graph)
    for value in graph.output:  # some exporters write an empty shape for "unknown": it says scalar
        if not value.type.tensor_type.shape.dim:
            value.type.tensor_type.ClearField("shape")
    given = {tensor.name for tensor in graph.initializer}
    for value in [value for value in graph.input if value.name in given]:
        graph.input.remove(value)


def _inferred(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    try:
        return shape_inference.infer_shapes(model, strict_mode=False)
    except Exception as error:
        raise InputError(f"{name}: shapes cannot be inferred: {_line(error)}") from error


def _lift_constants(graph: onnx.GraphProto) -> None:
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        value = next((a.t for a in node.attribute if a.name == "value"), None)
        if value is not None:
            tensor = graph.initializer.add()
            tensor.CopyFrom(value)
            tensor.name = node.output[0]
            graph.node.remove(node)


def _raised(model: onnx.ModelProto, name: str, opset: int) -> onnx.ModelProto:
    model.ir_version = max(model.ir_version, 9 if opset > OPSET else 7)
    version = _opset(model)
    if version >= opset:
        return model
    try:
        return version_converter.convert_version(model, opset)
    except Exception as error:
        raise InputError(
            f"{name} has opset {version}, and raising it to {opset} failed: {_line(error)}",
            hint=f"export it with opset {opset} or later",
        ) from error


def _opset(model: onnx.ModelProto) -> int:
    return max([entry.version for entry in model.opset_import if entry.domain in _DOMAINS], default=1)


def _name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a name of its own: its first output's, where it has none or shares it."""
    seen: set[str] = set()
    for node in graph.node:
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}:{node.output[0]}"
        seen.add(node.name)


def _refuse_non_finite(graph: Graph, name: str) -> None:
    for tensor in graph.model.graph.initializer:
        if graph.is_weight(tensor.name) and not np.isfinite(graph.array(tensor.name)).all():
            raise InputError(f"{name}: weight {tensor.name!r} holds NaN or infinity", tensor=tensor.name)


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
