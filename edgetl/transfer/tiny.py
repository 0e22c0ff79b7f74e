"""``--model tiny``: a small residual network of our own, for the demo and for tests."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

import edgetl.models

__all__ = ["FILE", "Tiny", "state"]

FILE = Path(edgetl.models.__file__).with_name("tiny.safetensors")
WIDTHS = (32, 64, 128, 256)
"""Channels of the stem and of each block; every one of these steps halves the size, so 64 x 64 ends as 4 x 4."""


def _unit(inside: int, outside: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU(inplace=True)
    )


class _Block(nn.Module):
    """A strided convolution, then one with a shortcut round it."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.down = _unit(inside, outside, 2)
        self.conv = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(outside)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Half the size, ``outside`` channels."""
        x = self.down(x)
        out: Tensor = self.relu(x + self.bn(self.conv(x)))
        return out


class Tiny(nn.Module):
    """3 x 3 convolutions, ReLU and residual sums at 64 x 64: what quantizes well everywhere."""

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.stem = _unit(3, WIDTHS[0], 2)
        self.blocks = nn.Sequential(*(_Block(a, b) for a, b in pairwise(WIDTHS)))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(WIDTHS[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes) of pictures (N, 3, 64, 64)."""
        out: Tensor = self.head(self.pool(self.blocks(self.stem(x))).flatten(1))
        return out


def state() -> dict[str, Tensor]:
    """The weights that ship, float32."""
    from safetensors.torch import load_file

    return {name: tensor.float() for name, tensor in load_file(FILE).items() if torch.is_tensor(tensor)}
