"""torch to ONNX: preprocessing inside, the same bytes every time, and equal answers on real pictures."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

from edgetl.errors import EdgetlError, GateFailed, InputError
from edgetl.heads import opset_of, with_heads
from edgetl.tasks import Task, scaled, slices
from edgetl.types import Preprocess, Record

__all__ = [
    "ExportReport",
    "check_parity",
    "export_classifier",
    "export_features",
    "export_network",
]

Array = npt.NDArray[Any]
Batch = int | Literal["dynamic"]

TOLERANCE = 1e-3
"""Largest difference of a logit, as a share of the largest logit; the exporters stay near 1e-6."""
TORCHSCRIPT_OPSET = 17
TRAINING_OPS = ("Dropout", "BatchNormalization")


class ExportReport(Record, frozen=True, kw_only=True):
    """How a graph came about.

    Attributes
    ----------
    exporter : ``dynamo`` or ``torchscript``; ``why`` the second was needed, else empty.
    opset : of the default domain. parity : largest difference to torch, as a share of the largest logit.
    images : pictures that parity was measured on.
    """

    exporter: str
    opset: int
    why: str = ""
    parity: float | None = None
    images: int = 0


class _Deployed(nn.Module):
    """A network that takes pixels: uint8 (N, H, W, 3).

    Scale and shift work on whole rows, (N, H, W * 3), before the channels move. A runtime that computes with channels
    last then moves nothing at all; moving them first costs OpenVINO's CPU plugin a transposition and a reorder, 2 % of
    an INT8 mobilenet_v2, and three channels alone at the end are too short a vector.

    Parameters
    ----------
    cast_first : cast pixels before their rows are made. TensorRT reads uint8 in a Cast alone, not even to move it
        (NVIDIA/TensorRT#3985); OpenVINO would make a layer of its own of that Cast, so it is done for TensorRT.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, net: nn.Module, preprocess: Preprocess, *, cast_first: bool = False) -> None:
        super().__init__()
        self.net = net
        self.cast_first = cast_first
        scale, shift = preprocess.affine()
        self.register_buffer("scale", torch.tensor(scale).repeat(preprocess.width))
        self.register_buffer("shift", torch.tensor(shift).repeat(preprocess.width))

    def forward(self, input: Tensor) -> Tensor:
        """Outputs of pixels."""
        flat = input.float().flatten(2) if self.cast_first else input.flatten(2).float()
        rows = flat * self.scale + self.shift
        out: Tensor = self.net(rows.unflatten(2, (-1, 3)).permute(0, 3, 1, 2))
        return out


def export_classifier(
    net: nn.Module, preprocess: Preprocess, out: Path, *, batch: Batch = 1, cast_first: bool = False
) -> ExportReport:
    """Write ``input`` uint8 (N, H, W, 3) to ``logits`` float32 (N, classes).

    Parameters
    ----------
    cast_first : pixels go into a Cast at once, as TensorRT wants it.

    Raises
    ------
    InputError : neither exporter takes the network, or it keeps layers in training mode.
    """
    return _export(_Deployed(net, preprocess, cast_first=cast_first), preprocess, out, "logits", batch)


def export_features(
    body: nn.Module, preprocess: Preprocess, out: Path, *, batch: Batch = 1, cast_first: bool = False
) -> ExportReport:
    """Write ``input`` uint8 (N, H, W, 3) to ``features`` float32 (N, D); see ``export_classifier``."""
    return _export(_Deployed(body, preprocess, cast_first=cast_first), preprocess, out, "features", batch)


def export_network(
    net: nn.Module,
    preprocess: Preprocess,
    out: Path,
    tasks: Sequence[Task] = (),
    *,
    batch: Batch = 1,
    cast_first: bool = False,
) -> ExportReport:
    """``export_classifier``; or with tasks, ``input`` uint8 (N, H, W, 3) to an output of each task's name.

    Parameters
    ----------
    net : a ``body``, pictures to features, and a ``head``, features to the rows that the tasks share.
    """
    if not tasks:
        return export_classifier(net, preprocess, out, batch=batch, cast_first=cast_first)
    state = net.state_dict()
    with tempfile.TemporaryDirectory() as scratch:
        features = Path(scratch) / "features.onnx"
        report = export_features(
            net.get_submodule("body"), preprocess, features, batch=batch, cast_first=cast_first
        )
        opset = with_heads(features, state["head.weight"].numpy(), state["head.bias"].numpy(), tasks, out)
    return msgspec.structs.replace(report, opset=opset)


def check_parity(
    net: nn.Module, preprocess: Preprocess, graph: Path, pictures: Array, tasks: Sequence[Task] = ()
) -> float:
    """Largest difference between the graph on ONNX Runtime and torch, as a share of the largest logit.

    Parameters
    ----------
    pictures : uint8 (N, H, W, 3), real ones: noise does not reach the ranges that pictures reach.
    tasks : whose outputs the graph has, each held against its own largest number, a value less its mean; empty: one.

    Raises
    ------
    GateFailed : they differ by more than ``TOLERANCE``, or a logit is not finite.
    """
    deployed = _Deployed(net, preprocess).eval()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    rows = session.get_inputs()[0].shape[0]
    step = rows if isinstance(rows, int) else min(8, len(pictures))
    expected, found = [], []
    for start in range(0, len(pictures) - len(pictures) % step, step):
        part = np.array(pictures[start : start + step])  # a copy: torch wants to own it
        with torch.inference_mode():
            expected.append(deployed(torch.from_numpy(part)).numpy())
        found.append(np.concatenate(session.run(None, {"input": part}), axis=1))
    if not expected:
        raise InputError(
            f"{len(pictures)} pictures do not fill one batch of {step}", hint="a smaller --batch"
        )
    want, got = np.concatenate(expected), np.concatenate(found)
    if not (np.isfinite(want).all() and np.isfinite(got).all()):
        raise GateFailed(
            "the network answers NaN or infinity on real pictures",
            hint="check the weights and the normalisation",
        )
    want, got = (scaled(tasks, rows) if tasks else rows for rows in (want, got))
    parity = max(_apart(want[:, part], got[:, part]) for part in slices(tasks) or [slice(None)])
    if parity > TOLERANCE:
        raise GateFailed(
            f"the exported graph differs from torch by {parity:.1e} of the largest logit, "
            f"at most {TOLERANCE:g} is allowed",
            hint="please report the model's name: an operator is exported wrongly",
            parity=parity,
        )
    return parity


def _apart(want: Array, got: Array) -> float:
    """The largest difference, as a share of the largest number."""
    largest = float(np.abs(want).max())
    return float(np.abs(want - got).max()) / largest if largest else float(np.abs(got).max())


def _export(deployed: nn.Module, preprocess: Preprocess, out: Path, name: str, batch: Batch) -> ExportReport:
    deployed.eval()
    shape = (1 if batch == "dynamic" else batch, preprocess.height, preprocess.width, 3)
    example = torch.zeros(shape, dtype=torch.uint8)
    try:
        with torch.inference_mode():
            deployed(example)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise InputError(
            f"the network refuses pictures of {preprocess.width} x {preprocess.height}: {str(error).splitlines()[0]}",
            hint="--imgsz with the size it was made for (edgetl models lists them)",
        ) from error
    why = ""
    try:
        model = _dynamo(deployed, example, name, batch)
    except EdgetlError:
        raise
    except Exception as error:  # the exporter raises whatever the network's own code does
        why = str(error).strip().splitlines()[0][:200]
        model = _torchscript(deployed, example, name, batch, error)
    _refuse_training_mode(model)
    _clear_metadata(model)
    onnx.checker.check_model(model)
    out.write_bytes(model.SerializeToString(deterministic=True))
    return ExportReport(exporter="torchscript" if why else "dynamo", opset=opset_of(model), why=why)


def _dynamo(deployed: nn.Module, example: Tensor, name: str, batch: Batch) -> onnx.ModelProto:
    dynamic = ({0: torch.export.Dim("batch")},) if batch == "dynamic" else None
    with _quiet():
        program = torch.onnx.export(
            deployed,
            (example,),
            dynamo=True,
            input_names=["input"],
            output_names=[name],
            dynamic_shapes=dynamic,
            external_data=False,
            verbose=False,
        )
        assert program is not None
        return program.model_proto


def _torchscript(
    deployed: nn.Module, example: Tensor, name: str, batch: Batch, first: Exception
) -> onnx.ModelProto:
    buffer = io.BytesIO()
    axes = {"input": {0: "batch"}, name: {0: "batch"}} if batch == "dynamic" else None
    try:
        with _quiet():
            torch.onnx.export(
                deployed,
                (example,),
                buffer,  # type: ignore[arg-type] # a path is all its annotation knows, a file is documented
                dynamo=False,
                opset_version=TORCHSCRIPT_OPSET,
                input_names=["input"],
                output_names=[name],
                dynamic_axes=axes,
            )
    except Exception as error:
        raise InputError(
            f"neither exporter takes the network: {str(first).splitlines()[0]}; {str(error).splitlines()[0]}",
            hint="an operator of it has no ONNX form: --debug shows where",
        ) from error
    return onnx.load_from_string(buffer.getvalue())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporters print, warn and log; what matters of it is raised."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _refuse_training_mode(model: onnx.ModelProto) -> None:
    kinds = {node.op_type for node in model.graph.node}
    left = [kind for kind in TRAINING_OPS if kind in kinds and _in_training(model, kind)]
    if left:
        raise InputError(
            f"the graph still has {' and '.join(left)} in training mode",
            hint="call eval() in the network's own code",
        )


def _in_training(model: onnx.ModelProto, kind: str) -> bool:
    nodes = [node for node in model.graph.node if node.op_type == kind]
    if kind == "Dropout":
        return True
    return any(a.name == "training_mode" and a.i for node in nodes for a in node.attribute)


def _clear_metadata(model: onnx.ModelProto) -> None:
    """Drop stack traces: they hold paths of this machine and make equal models differ in bytes."""
    graph = model.graph
    holders = [model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer]
    for function in model.functions:
        holders += [function, *function.node, *function.value_info]
    for holder in holders:
        del holder.metadata_props[:]
        holder.doc_string = ""
