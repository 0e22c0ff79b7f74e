"""The CIFAR-10 networks and pictures of the shared data."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import _peers
import cv2
import numpy as np
import numpy.typing as npt
from _cifar_nets import ResNet as _ResNet
from torch import nn

from edgetl import export
from edgetl.transfer import weights as weight_files
from edgetl.types import Preprocess

__all__ = ["NETS", "RULE", "float_model", "float_nchw", "network", "pictures", "unpack"]

Array = npt.NDArray[Any]

NETS = {"resnet20_cifar10": 3, "resnet56_cifar10": 9}
"""Blocks a stage."""
RULE = Preprocess(height=32, width=32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def float_model(name: str, folder: Path, weights: Path) -> Path:
    """The float ONNX as edgetl ships it: uint8 (1, 32, 32, 3) in, preprocessing inside."""
    path = folder / f"{name}.onnx"
    export.export_classifier(network(name, weights), RULE, path)
    return path


def float_nchw(name: str, folder: Path, weights: Path) -> Path:
    """The float ONNX as a peer's user makes it: normalised float32 (1, 3, 32, 32) in."""
    path = folder / f"{name}.nchw.onnx"
    _peers.export_planes(network(name, weights), path, RULE.height)
    return path


def network(name: str, weights: Path) -> nn.Module:
    """The network of a weight file, as it was published, in eval mode."""
    net = _ResNet(NETS[name])
    missing = net.load_state_dict(weight_files.bare(weight_files.read(weights)), strict=False).missing_keys
    if any(not key.endswith("num_batches_tracked") for key in missing):
        raise SystemExit(f"{weights.name} lacks {missing[0]}")
    return net.eval()


def pictures(file: Path) -> tuple[Array, Array]:
    """Every picture of a pack, uint8 RGB (N, 32, 32, 3), and its class (N,)."""
    with np.load(file, allow_pickle=False) as pack:
        starts, packed = pack["offsets"], pack["jpeg"]
        frames = [_decoded(packed[first:last]) for first, last in itertools.pairwise(starts)]
        return np.stack(frames), pack["labels"].astype(np.int64)


def _decoded(file: Array) -> Array:
    frame = cv2.imdecode(file, cv2.IMREAD_COLOR)
    assert frame is not None
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def unpack(packs: Path, root: Path) -> Path:
    """The JPEG files of the CIFAR-10 packs, byte for byte, in ``train/`` and ``test/`` above a folder a class."""
    for role in ("train", "test"):
        with np.load(packs / f"{role}.npz", allow_pickle=False) as pack:
            body, offsets = pack["jpeg"].tobytes(), pack["offsets"].tolist()
            names, labels = pack["class_names"].tolist(), pack["labels"].tolist()
        for name in names:
            (root / role / name).mkdir(parents=True)
        for index, (start, end) in enumerate(itertools.pairwise(offsets)):
            (root / role / names[labels[index]] / f"{index:04d}.jpg").write_bytes(body[start:end])
    return root
