"""ONNX Runtime as the reference: it says what a float graph answers, and which types its tensors have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
import onnxruntime

from edgetl.errors import InputError
from edgetl.quantize import files

__all__ = ["complete_types", "session_of"]

KINDS = {"tensor(float)": onnx.TensorProto.FLOAT}


def session_of(
    model: onnx.ModelProto,
    path: Path,
    outputs: Sequence[onnx.ValueInfoProto],
    *,
    threads: int = 0,
    float_pairs: bool = False,
) -> onnxruntime.InferenceSession:
    """A session of a model whose outputs are these tensors.

    Parameters
    ----------
    path : the model's file: its name is told, and weights that are outside lie beside it.
    threads : of one run; as many as there are cores where it is 0.
    float_pairs : Q and DQ are computed one after the other, whatever integers this processor adds up exactly.

    Raises
    ------
    InputError : ONNX Runtime does not take the model.
    """
    tapped = onnx.ModelProto()
    tapped.CopyFrom(model)
    del tapped.graph.output[:]
    tapped.graph.output.extend(outputs)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # counting needs the cores, too
    options.enable_mem_pattern = (
        False  # a block for all activations at once is memory that the answers take again
    )
    options.log_severity_level = 4
    if float_pairs:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    outside = [tensor for tensor in model.graph.initializer if files.is_outside(tensor)]
    if outside:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(files.value(t, path)) for t in outside]
        options.add_external_initializers([tensor.name for tensor in outside], values)
        options.add_session_config_entry("session.disable_prepacking", "1")  # it would copy every weight
    try:
        return onnxruntime.InferenceSession(
            tapped.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        said = str(error).strip().splitlines()[0]
        raise InputError(
            f"{path.name} does not run on ONNX Runtime, which calibration takes: {said}"
        ) from error


def complete_types(model: onnx.ModelProto, path: Path, foreign: Sequence[str]) -> None:
    """Add the types of tensors that ONNX's own inference does not know, behind operators of other domains.

    Parameters
    ----------
    foreign : those operators, as ``domain.Operator``.

    Raises
    ------
    InputError : ONNX Runtime does not know such an operator either.
    """
    graph = model.graph
    values = [*graph.input, *graph.value_info, *graph.output]
    known = {value.name for value in values if value.type.tensor_type.elem_type}
    unknown = [name for node in graph.node for name in node.output if name and name not in known]
    tensors = [*graph.output, *(onnx.ValueInfoProto(name=name) for name in unknown)]
    try:
        session = session_of(model, path, tensors)
    except InputError as error:
        raise InputError(
            f"{path.name} has operators that ONNX does not define: {', '.join(foreign)}; {error.problem}",
            hint="export it with operators of ONNX, or of ONNX Runtime's own domain com.microsoft",
        ) from error
    for told in session.get_outputs():
        if told.name in unknown and told.type in KINDS:
            shape = [dim if isinstance(dim, int) else None for dim in told.shape]
            graph.value_info.append(onnx.helper.make_tensor_value_info(told.name, KINDS[told.type], shape))
