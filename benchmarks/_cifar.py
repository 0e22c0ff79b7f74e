"""The CIFAR-10 networks and pictures of the shared data."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import _peers
import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor, nn
from torch.nn import functional

from edgetl import export
from edgetl.transfer import weights as weight_files
from edgetl.types import Preprocess

__all__ = ["NETS", "RULE", "float_model", "float_nchw", "network", "pictures"]

Array = npt.NDArray[Any]

NETS = {"resnet20_cifar10": 3, "resnet56_cifar10": 9}
"""Blocks a stage."""
RULE = Preprocess(height=32, width=32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


class _Block(nn.Module):
    """Two convolutions beside a shortcut that skips pixels and pads channels: He et al. 2016, option A."""

    def __init__(self, width: int, into: int) -> None:
        super().__init__()
        self.stride = into // width
        self.padding = (into - width) // 2
        self.conv1 = nn.Conv2d(width, into, 3, self.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(into)
        self.conv2 = nn.Conv2d(into, into, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(into)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        if self.padding:
            skipped = x[:, :, :: self.stride, :: self.stride]
            shortcut = functional.pad(skipped, (0, 0, 0, 0, self.padding, self.padding))
        return functional.relu(self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x))))) + shortcut)


class _ResNet(nn.Module):
    """6 n + 2 layers, as the keys of the weight files name them."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        for stage, (width, into) in enumerate(((16, 16), (16, 32), (32, 64)), start=1):
            made = [_Block(width, into), *(_Block(into, into) for _ in range(blocks - 1))]
            setattr(self, f"layer{stage}", nn.Sequential(*made))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        for stage in (1, 2, 3):
            x = getattr(self, f"layer{stage}")(x)
        logits: Tensor = self.linear(x.mean(dim=(2, 3)))
        return logits


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
    missing = net.load_state_dict(weight_files.read(weights), strict=False).missing_keys
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
