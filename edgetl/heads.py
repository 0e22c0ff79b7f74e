"""Linear heads behind an exported body: one for classes, or one for each of several tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from edgetl.tasks import Task, slices

__all__ = ["opset_of", "with_head", "with_heads"]

Array = npt.NDArray[Any]


def with_head(features: Path, weight: Array, bias: Array, out: Path) -> int:
    """Put a linear head behind an exported body: one ``Gemm`` from ``features`` to ``logits``.

    Parameters
    ----------
    weight : float32 (classes, D). bias : float32 (classes,).

    Returns
    -------
    The opset of the graph.
    """
    model = onnx.load(features)
    graph = model.graph
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.ascontiguousarray(weight, np.float32), "head.weight"),
            numpy_helper.from_array(np.ascontiguousarray(bias, np.float32), "head.bias"),
        ]
    )
    graph.node.append(
        helper.make_node("Gemm", ["features", "head.weight", "head.bias"], ["logits"], name="head", transB=1)
    )
    rows: Any = _rows(graph)
    graph.value_info.append(graph.output[0])
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [rows, len(bias)]))
    onnx.checker.check_model(model)
    out.write_bytes(model.SerializeToString(deterministic=True))
    return opset_of(model)


def with_heads(features: Path, weight: Array, bias: Array, tasks: Sequence[Task], out: Path) -> int:
    """Put the tasks' heads behind an exported body: for each a ``Gemm`` from ``features`` to an output of its name.

    Heads of their own, not one that is cut in parts: quantized, each output has a scale of its own, a head that INT8
    is hard on stays in float alone, and no runtime copies parts of a row.

    Parameters
    ----------
    weight : float32 (outputs, D). bias : float32 (outputs,), shared as ``tasks.slices`` says.

    Returns
    -------
    The opset of the graph.
    """
    model = onnx.load(features)
    graph = model.graph
    _make_room(graph, {task.name for task in tasks})
    rows: Any = _rows(graph)
    graph.value_info.append(graph.output[0])
    del graph.output[:]
    for task, part in zip(tasks, slices(tasks)):
        names = [f"head.{task.name}.{kind}" for kind in ("weight", "bias")]
        graph.initializer.extend(
            numpy_helper.from_array(np.ascontiguousarray(values[part], np.float32), name)
            for values, name in zip((weight, bias), names)
        )
        graph.node.append(
            helper.make_node("Gemm", ["features", *names], [task.name], name=f"head.{task.name}", transB=1)
        )
        graph.output.append(
            helper.make_tensor_value_info(task.name, onnx.TensorProto.FLOAT, [rows, task.width])
        )
    onnx.checker.check_model(model)
    out.write_bytes(model.SerializeToString(deterministic=True))
    return opset_of(model)


def _make_room(graph: onnx.GraphProto, wanted: set[str]) -> None:
    """Rename tensors of a body that are called as a task is: columns have the users' names, not ours."""

    def apart(name: str) -> str:
        return f"{name}_of_body" if name in wanted else name

    for node in graph.node:
        node.input[:] = [apart(name) for name in node.input]
        node.output[:] = [apart(name) for name in node.output]
    for value in (*graph.initializer, *graph.value_info):
        value.name = apart(value.name)


def _rows(graph: onnx.GraphProto) -> str | int:
    """The first axis of the first output: a number, or a name where it is free."""
    first = graph.output[0].type.tensor_type.shape.dim[0]
    return str(first.dim_param) or int(first.dim_value)


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the default domain."""
    return next(int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
