"""ONNX files and the weights that are kept beside them: read, told apart by their bytes, and written.

Protobuf holds no more than 2 GiB in one message. A model with more keeps its weights in files beside it, and so do its
graph here and what is written of it: weights stay on the disk, and are looked at one at a time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from edgetl import digest
from edgetl.errors import InputError

__all__ = [
    "HELD",
    "beside",
    "data_file",
    "digest_of",
    "is_outside",
    "parts",
    "read",
    "read_nodes",
    "value",
    "write",
]

HELD = 2**30
"""Bytes of weights that are read into the graph; half of what a message may have, for passes add to it."""
SMALL = 2**12
"""Bytes of a weight that is always read: shapes are inferred from the values of small constants."""
_ALIGNMENT = 4096
"""Of a weight in a data file, so that runtimes can map it."""


def read(path: Path) -> onnx.ModelProto:
    """A model with the weights beside it; with more than ``HELD`` bytes of them, the large ones stay outside.

    Raises
    ------
    InputError : not an ONNX file; a file beside it is missing, too short or elsewhere.
    """
    model = read_nodes(path)
    weights = [tensor for tensor in model.graph.initializer if is_outside(tensor)]
    sizes = [_mapped(tensor, path).nbytes for tensor in weights]
    held = sum(sizes) <= HELD
    for tensor, size in zip(weights, sizes, strict=True):
        if held or size <= SMALL:
            _take_in(tensor, path)
    for tensor in _in_nodes(model):
        if is_outside(tensor):
            _take_in(tensor, path)
    return model


def _take_in(tensor: onnx.TensorProto, path: Path) -> None:
    tensor.raw_data = _mapped(tensor, path).tobytes()
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]


def read_nodes(path: Path) -> onnx.ModelProto:
    """The graph without what is kept beside it.

    Raises
    ------
    InputError : not an ONNX file.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except FileNotFoundError as error:
        raise InputError(f"no such model: {path}", hint="give the path of an .onnx file") from error
    except (DecodeError, ValueError, OSError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"{path.name} cannot be read as ONNX: {said[0]}") from error
    if not model.graph.node:
        raise InputError(f"{path.name} is not an ONNX model, or one without a node")
    return model


def is_outside(tensor: onnx.TensorProto) -> bool:
    """Whether a weight is in a file beside the model."""
    return bool(tensor.data_location == TensorProto.EXTERNAL)


def value(tensor: onnx.TensorProto, path: Path) -> npt.NDArray[Any]:
    """A weight of the model at ``path``; one that is outside is mapped, not read."""
    if not is_outside(tensor):
        return numpy_helper.to_array(tensor)
    kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return _mapped(tensor, path).view(kind).reshape(tuple(tensor.dims))


def digest_of(path: Path) -> str:
    """sha256 of a model: of its file, or of that together with the files that hold its weights."""
    found = beside(path)
    if not found:
        return digest.of_file(path)
    return digest.of_json([digest.of_file(file) for file in (path, *found)])


def beside(path: Path) -> list[Path]:
    """The files that hold weights of a model, in the order of their names.

    Raises
    ------
    InputError : one is missing, or outside of the model's folder.
    """
    names = {_location(tensor) for tensor in _tensors(read_nodes(path)) if is_outside(tensor)}
    return [_beside(path, name) for name in sorted(names)]


def data_file(path: Path) -> Path:
    """Where ``write`` puts the weights of a model that does not fit one file."""
    return path.with_name(f"{path.name}.data")


def parts(path: Path) -> list[Path]:
    """The files of a model that ``write`` wrote, the one to open last."""
    return [part for part in (data_file(path), path) if part.is_file()]


def write(model: onnx.ModelProto, source: Path, out: Path) -> None:
    """Check a model and write it: one file where it fits, else its weights beside it. It appears whole or not at all.

    Parameters
    ----------
    source : the model's own file, which weights that are outside lie beside.
    """
    sizes = [tensor.ByteSize() for tensor in model.graph.initializer]
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.", suffix=".partial") as folder:
        made = Path(folder) / out.name
        if sum(sizes) > HELD or any(map(is_outside, model.graph.initializer)):
            _move_out(model, source, data_file(made))
        with _complete(model) as completed:
            made.write_bytes(model.SerializeToString(deterministic=True))
            onnx.checker.check_model(str(made), full_check=True)
        if completed:
            made.write_bytes(model.SerializeToString(deterministic=True))
        for part in parts(made):
            part.replace(out.with_name(part.name))


@contextmanager
def _complete(model: onnx.ModelProto) -> Iterator[bool]:
    """Outputs of unknown rank as scalars, for ONNX's checker wants a shape where runtimes do without; any there?"""
    bare = [value for value in model.graph.output if not value.type.tensor_type.HasField("shape")]
    for value in bare:
        value.type.tensor_type.shape.SetInParent()
    try:
        yield bool(bare)
    finally:
        for value in bare:
            value.type.tensor_type.ClearField("shape")


def _move_out(model: onnx.ModelProto, source: Path, file: Path) -> None:
    """Put every weight that is not small into a data file."""
    with file.open("wb") as data:
        for tensor in model.graph.initializer:
            array = value(tensor, source)
            if array.nbytes <= SMALL:
                continue
            data.seek(-data.tell() % _ALIGNMENT, 1)
            start = data.tell()
            data.write(np.ascontiguousarray(array).view(np.uint8).data)
            for name in ("float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
                tensor.ClearField(name)
            tensor.raw_data = b""  # the next call refuses a tensor without
            external_data_helper.set_external_data(tensor, file.name, offset=start, length=array.nbytes)
            tensor.ClearField("raw_data")


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every constant of a model."""
    yield from model.graph.initializer
    yield from _in_nodes(model)


def _in_nodes(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """The constants in nodes, their bodies, and functions."""
    yield from _of_nodes(model.graph.node)
    for function in model.functions:
        yield from _of_nodes(function.node)


def _of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Any) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for body in (attribute.g, *attribute.graphs):
                yield from _of_graph(body)


def _location(tensor: onnx.TensorProto) -> str:
    return str(external_data_helper.ExternalDataInfo(tensor).location)


def _mapped(tensor: onnx.TensorProto, path: Path) -> npt.NDArray[np.uint8]:
    """The bytes of a weight beside the model, mapped."""
    told = external_data_helper.ExternalDataInfo(tensor)
    file = _beside(path, told.location)
    kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    wanted = int(np.prod(tensor.dims, dtype=np.int64)) * kind.itemsize
    start = int(told.offset or 0)
    if start + wanted > file.stat().st_size:
        raise InputError(
            f"{path.name}: weight {tensor.name!r} ends at byte {start + wanted} of {told.location}, "
            f"which has {file.stat().st_size}",
            hint="copy the file again, it is not whole",
        )
    if not wanted:
        return np.zeros(0, np.uint8)
    return np.memmap(file, np.uint8, "r", start, (wanted,))


def _beside(path: Path, name: str) -> Path:
    """A file that a model names, which has to lie in the model's own folder or below it."""
    folder = path.parent.resolve()
    file = (folder / name).resolve()
    if not file.is_relative_to(folder):
        raise InputError(f"{path.name} names weights in {name!r}, outside of its own folder")
    if not file.is_file():
        raise InputError(
            f"{path.name} keeps weights in {name}, which is missing", hint="keep .onnx and .data together"
        )
    return file
