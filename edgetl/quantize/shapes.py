"""A model that takes any number or size of pictures, made to take one."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import shape_inference

from edgetl.errors import InputError
from edgetl.quantize import common_form, files

__all__ = ["fix_input"]


def fix_input(model: Path, out: Path, *, batch: int | None, size: tuple[int, int] | None) -> None:
    """Write a model whose batch, or height and width, are numbers.

    Parameters
    ----------
    batch : first axis of every input that leaves it open, and every axis that shares its name.
    size : height and width of the one input with four axes; its channels tell which axes they are.

    Raises
    ------
    InputError : the axis has another number already; there is no such input.
    """
    loaded = files.read(model)
    common_form.bring(loaded)
    graph = loaded.graph
    if batch is not None:
        _fix_batch(graph, batch, model.name)
    if size is not None:
        picture = _picture(graph, model.name)
        dims = picture.type.tensor_type.shape.dim
        first = 1 if dims[3].dim_value == 3 else 2
        for axis, wanted, what in ((first, size[0], "height"), (first + 1, size[1], "width")):
            _fix(picture, axis, wanted, model.name, what)
    del graph.value_info[:]  # shapes are inferred again from the new ones
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        files.write(shape_inference.infer_shapes(loaded, strict_mode=True), model, out)
    except shape_inference.InferenceError as error:
        raise InputError(
            f"{model.name} does not work with that shape: {str(error).splitlines()[0]}",
            hint="sizes may be written into it: export it with the shape that is wanted",
        ) from error


def _fix_batch(graph: onnx.GraphProto, batch: int, name: str) -> None:
    """Set the axes that are the batch; where none is open, each input's first has to be it already."""
    inputs = [value for value in graph.input if value.type.tensor_type.shape.dim]
    opened = [value for value in inputs if value.type.tensor_type.shape.dim[0].dim_value <= 0]
    names = {value.type.tensor_type.shape.dim[0].dim_param for value in opened} - {""}
    for value in opened or inputs:
        _fix(value, 0, batch, name, "batch")
    for value in inputs:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in names:
                dim.dim_value = batch  # a recurrent state has it second


def _fix(value: onnx.ValueInfoProto, axis: int, wanted: int, name: str, what: str) -> None:
    dim = value.type.tensor_type.shape.dim[axis]
    if dim.dim_value > 0 and dim.dim_value != wanted:
        raise InputError(
            f"{name}: input {value.name!r} has {what} {dim.dim_value} already, it cannot be made {wanted}",
            hint=f"leave it out, or export the model with {what} {wanted}",
        )
    dim.dim_value = wanted


def _picture(graph: onnx.GraphProto, name: str) -> onnx.ValueInfoProto:
    """The one input that is a picture: four axes, three channels."""
    found: list[onnx.ValueInfoProto] = []
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        if len(dims) == 4 and 3 in (dims[1].dim_value, dims[3].dim_value):
            found.append(value)
    if len(found) != 1:
        told = ", ".join(repr(value.name) for value in graph.input)
        raise InputError(
            f"{name} has {len(found)} inputs with four axes and three channels among {told}: "
            "--size sets the height and width of one",
            hint="export it with a fixed size",
        )
    return found[0]
