"""A real bundle in a second: a three-class network without training, compiled and sealed like any other.

Its logits are the mean of red, green and blue, so that every answer is known beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgetl import digest
from edgetl.backends import seam
from edgetl.devices import DeviceProfile
from edgetl.runtime import bundle
from edgetl.types import Preprocess

__all__ = ["LABELS", "SIDE", "Kind", "make", "manifest", "picture"]

LABELS = ("red", "green", "blue")
SIDE = 16


@dataclass(frozen=True)
class Kind:
    """What to vary of the bundle."""

    backend: str = "onnxruntime"
    batch: int | None = 1
    color: Literal["rgb", "bgr"] = "rgb"
    crop: tuple[int, int] = (1, 1)
    nan: bool = False
    fused: bool = False
    pending: bool = False
    labels: tuple[str, ...] = LABELS


def picture(color: str, height: int = SIDE, width: int = SIDE) -> npt.NDArray[np.uint8]:
    """A picture of one colour, RGB."""
    frame = np.full((height, width, 3), 20, np.uint8)
    frame[..., LABELS.index(color)] = 230
    return frame


def make(folder: Path, kind: Kind) -> Path:
    """Write a bundle into a folder that does not exist yet."""
    folder.mkdir(parents=True)
    model = folder / "model.fp32.onnx"
    _write_model(model, kind)
    if not kind.pending:
        profile = DeviceProfile(name="box", backend=kind.backend, device="CPU", precision="f32")
        (folder / "engine").mkdir()
        engine = seam.find(kind.backend).compile(model, profile, folder / "engine")
        (folder / bundle.ENGINE).write_bytes(digest.canonical_json(engine))
    rule = Preprocess(
        height=SIDE, width=SIDE, crop=kind.crop, color=kind.color, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
    )
    (folder / bundle.LABELS).write_bytes(digest.canonical_json(kind.labels))
    (folder / bundle.PREPROCESS).write_bytes(digest.canonical_json(rule))
    (folder / bundle.RESULTS).write_bytes(digest.canonical_json({"accuracy": {"shipped": 1.0}}))
    inputs = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
    logits = inputs.astype(np.float32).mean(axis=(1, 2))
    np.savez(folder / bundle.GOLDEN, inputs=inputs, logits=logits, logits_f32=logits)
    bundle.seal(folder, manifest(pending=kind.pending))
    return folder


def manifest(*, pending: bool = False) -> bundle.Manifest:
    """Facts of a bundle whose files are still to be listed."""
    left = bundle.Pending(reason="TensorRT is not on this host", next=("copy it", "edgetl compile it"))
    return bundle.Manifest(
        schema=1,
        name="colours",
        created="2026-01-02T03:04:05Z",
        device="box",
        backend="onnxruntime",
        precision="f32",
        task="classify",
        model="mean",
        method="none",
        seed=0,
        data={},
        versions={},
        pending=left if pending else None,
        files={},
    )


def _write_model(path: Path, kind: Kind) -> None:
    import onnx
    from onnx import TensorProto, helper

    batch = "batch" if kind.batch is None else kind.batch
    output = "probabilities" if kind.fused else "logits"
    last = "Softmax" if kind.fused else "Sqrt" if kind.nan else "Identity"
    nodes = [
        helper.make_node("Cast", ["input"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Sub", ["mean", "offset"], ["shifted"]),
        helper.make_node(last, ["shifted"], [output]),
    ]
    offset = helper.make_tensor("offset", TensorProto.FLOAT, [1], [1000.0 if kind.nan else 0.0])
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("input", TensorProto.UINT8, [batch, SIDE, SIDE, 3])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [batch, len(LABELS)])],
        [offset],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, path)
