"""An ONNX graph, read and checked before it is observed, quantized or judged; all see the same names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import inliner, shape_inference, version_converter

from edgetl.errors import InputError
from edgetl.quantize import common_form, files, reference

__all__ = [
    "CONTROL",
    "OPSET",
    "WEIGHTED",
    "Graph",
    "Shape",
    "clear_metadata",
    "is_quantized",
    "load",
    "operator",
    "read",
    "save",
]

OPSET = 13
"""The first opset in which QuantizeLinear takes a scale for each channel."""
NEWEST, NEWEST_IR = 26, 13
"""The newest opset and file version that ONNX Runtime 1.31 takes; onnx 1.23 writes 28 and 14."""
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators that multiply by weights: the layers that are counted as quantizable."""
CONTROL = frozenset({"If", "Loop", "Scan"})
"""Operators with branches or bodies; what is inside is left as it is."""
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
    path : the file it was read from, which weights may be kept beside.
    producer : tensor -> the node that makes it.
    consumers : tensor -> nodes that read it, in graph order; a node also reads what its branches and bodies do.
    constants : names of the initialisers.
    floats : names of float32 tensors that are not constants.
    outputs : names of the graph's outputs.
    opset : of ONNX's own operators.
    """

    def __init__(self, model: onnx.ModelProto, path: Path) -> None:
        self.model = model
        self.path = path
        graph = model.graph
        self.producer = {name: node for node in graph.node for name in node.output}
        self.consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in dict.fromkeys(common_form.reads(node)):
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
        return files.value(self._initializers[name], self.path)

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
        return (n for n in self.model.graph.node if operator(n) in WEIGHTED and self.is_weight(n.input[1]))


def operator(node: onnx.NodeProto) -> str:
    """What a node computes: ONNX's name of it, or ``domain.Name`` where another domain defines it."""
    return str(node.op_type if node.domain in _DOMAINS else f"{node.domain}.{node.op_type}")


def _types(graph: onnx.GraphProto) -> dict[str, tuple[int, Shape | None]]:
    found: dict[str, tuple[int, Shape | None]] = {}
    for value in [*graph.input, *graph.value_info, *graph.output]:
        tensor = value.type.tensor_type
        dims = [  # some exporters write -1 for an open axis
            d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None for d in tensor.shape.dim
        ]
        found[value.name] = (tensor.elem_type, dims if tensor.HasField("shape") else None)
    for constant in graph.initializer:
        found[constant.name] = (constant.data_type, list(constant.dims))
    return found


def load(path: Path) -> Graph:
    """Read a model with its external data, check that it can be quantized, and bring it to a common form.

    Functions are inlined, opsets below 13 are raised and those above 26 lowered, shapes are inferred, every node has a
    name, metadata (which holds source paths) is cleared, and the rest is as ``common_form`` says.

    Raises
    ------
    InputError : not an ONNX file; quantized already; an operator that neither ONNX nor ONNX Runtime defines; nothing
        to quantize; NaN or infinity in a weight.
    """
    model = _inlined(files.read(path), path.name)
    foreign = _refuse_unknown(model, path.name)
    clear_metadata(model)
    common_form.bring(model)
    model = _converted(model, path.name, OPSET)
    common_form.bring(model)  # converting makes Constant nodes
    common_form.tidy(model)
    model = _inferred(model, path.name)
    if foreign:
        reference.complete_types(model, path, foreign)
    common_form.name_nodes(model.graph)
    graph = Graph(model, path)
    if not any(graph.weighted()):
        raise _nothing_to_quantize(graph, path.name)
    _refuse_non_finite(graph, path.name)
    return graph


def read(path: Path, *, opset: int | None = None) -> Graph:
    """Read any model, quantized ones too, to look at it: the common form, shapes inferred, every node with a name.

    Parameters
    ----------
    opset : an older one is raised to it; none is touched where it is ``None``.

    Raises
    ------
    InputError : not an ONNX file; weights beside it are missing; its shapes contradict one another; its opset
        cannot be raised.
    """
    model = files.read(path)
    common_form.bring(model)
    if opset is not None:
        model = _converted(model, path.name, opset)
        common_form.bring(model)
    model = _inferred(model, path.name)
    common_form.name_nodes(model.graph)
    return Graph(model, path)


def save(model: onnx.ModelProto, source: Path, out: Path) -> None:
    """Write a model of ours without what names who made the one at ``source``; the same model gives the same bytes."""
    clear_metadata(model)
    model.producer_name = "edgetl"
    del model.graph.value_info[:]
    files.write(model, source, out)


def is_quantized(path: Path) -> bool:
    """Whether some operator of a model computes with or makes integers of 8 bits; its weights are not read.

    Raises
    ------
    InputError : not an ONNX file.
    """
    return any(_quantizes(node) for node in files.read_nodes(path).graph.node)


def _quantizes(node: onnx.NodeProto) -> bool:
    return node.op_type in _QUANTIZED or node.op_type.startswith("QLinear")


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


def _inlined(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The model with its functions written out, so that the layers in them are seen."""
    if not model.functions:
        return model
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:
        raise InputError(f"{name}: its functions cannot be inlined: {_line(error)}") from error


def _refuse_unknown(model: onnx.ModelProto, name: str) -> list[str]:
    """Refuse what is quantized or undefined; the operators of other domains, which a runtime may know."""
    version = _opset(model)
    foreign: set[str] = set()
    for node in model.graph.node:
        if _quantizes(node):
            raise InputError(
                f"{name} is quantized already: it has {node.op_type} nodes",
                hint="give the float32 model it came from",
            )
        if node.domain not in _DOMAINS:
            foreign.add(operator(node))
        elif not onnx.defs.has(node.op_type, max_inclusive_version=version, domain=""):
            raise InputError(
                f"{name} has an operator {node.op_type!r} that ONNX opset {version} does not define",
                hint="export it with operators of ONNX alone",
            )
    return sorted(foreign)


def _nothing_to_quantize(graph: Graph, name: str) -> InputError:
    """Why no layer can be quantized."""
    layers = [node for node in graph.model.graph.node if operator(node) in WEIGHTED]
    kinds = {graph.kind(node.input[1]) for node in layers if node.input[1] in graph.constants}
    small = kinds & {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
    why = "no float32 Conv, Gemm or MatMul with constant weights"
    hint = "give a model with convolutions or linear layers"
    if small:
        why = f"weights in {onnx.TensorProto.DataType.Name(small.pop()).lower()}, no float32 ones"
        hint = "export it in float32: INT8 is made from the full weights, and the device's engine chooses its floats"
    elif not layers and any(
        inner.op_type in WEIGHTED for inner in common_form.inner_nodes(graph.model.graph)
    ):
        why += " outside of its branches and loops, which are left as they are"
        hint = "export the network without control flow (torch: trace it, or take the branch that is used)"
    return InputError(f"{name} has {why}: there is nothing to quantize", hint=hint)


def _inferred(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    try:
        return shape_inference.infer_shapes(model, strict_mode=False)
    except Exception as error:
        raise InputError(f"{name}: shapes cannot be inferred: {_line(error)}") from error


def _opset(model: onnx.ModelProto) -> int:
    return max([entry.version for entry in model.opset_import if entry.domain in _DOMAINS], default=1)


def _converted(model: onnx.ModelProto, name: str, least: int) -> onnx.ModelProto:
    """The model in an opset that pairs can be written in and runtimes read."""
    model.ir_version = min(max(model.ir_version, 9 if least > OPSET else 7), NEWEST_IR)
    version = _opset(model)
    wanted = min(max(version, least), NEWEST)
    if version == wanted:
        return model
    try:
        return version_converter.convert_version(model, wanted)
    except Exception as error:
        raise InputError(
            f"{name} has opset {version}, and converting it to {wanted} failed: {_line(error)}",
            hint=f"export it with an opset of {least} to {NEWEST}",
        ) from error


def _refuse_non_finite(graph: Graph, name: str) -> None:
    for tensor in graph.model.graph.initializer:
        if graph.is_weight(tensor.name) and not np.isfinite(graph.array(tensor.name)).all():
            raise InputError(f"{name}: weight {tensor.name!r} holds NaN or infinity", tensor=tensor.name)


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
