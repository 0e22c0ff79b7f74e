"""Small networks of several makes, in two parts as the trainer takes them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from edgetl.transfer.backbone import Net, split
from edgetl.transfer.probe import Probe

SIDE = 32
CLASSES = 3


class Backwards(nn.Module):
    """Its layers are registered in the order opposite to that of their use."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(8, CLASSES)
        self.third = nn.Conv2d(8, 8, 3, stride=2)
        self.second = nn.Conv2d(8, 8, 3, stride=2, groups=8)
        self.norm = nn.BatchNorm2d(8)
        self.first = nn.Conv2d(3, 8, 3, stride=2)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits."""
        found = self.third(self.second(self.norm(self.first(pictures)).relu()).relu())
        logits: Tensor = self.last(found.mean((2, 3)))
        return logits


class Borrower(nn.Module):
    """It reads the weights of a layer that it never calls, as torchvision's shifted windows do."""

    def __init__(self) -> None:
        super().__init__()
        self.called = nn.Linear(3 * SIDE * SIDE, 16)
        self.borrowed = nn.Linear(16, 16)
        self.last = nn.Linear(16, CLASSES)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits."""
        found = functional.linear(self.called(pictures.flatten(1)), self.borrowed.weight, self.borrowed.bias)
        logits: Tensor = self.last(found)
        return logits


class Namesakes(nn.Module):
    """A layer within a block is called as one at the top, and is by groups; so is a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2)
        self.conv2 = nn.Conv2d(8, 8, 3, stride=2)
        self.block = nn.ModuleDict(
            {"conv1": nn.Conv2d(8, 8, 3, stride=2, groups=8), "conv2": nn.BatchNorm2d(8)}
        )
        self.last = nn.Linear(8, CLASSES)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits."""
        found = self.block["conv2"](self.block["conv1"](self.conv2(self.conv1(pictures)).relu()))
        logits: Tensor = self.last(found.mean((2, 3)))
        return logits


def transformer() -> nn.Module:
    """A vision transformer of two layers."""
    made: nn.Module = models.VisionTransformer(SIDE, 8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=32)
    return made


MAKES = {
    "own": Backwards,
    "borrower": Borrower,
    "namesakes": Namesakes,
    "transformer": transformer,
    "resnet10": lambda: models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1]),
    "mobilenet_v3_small": models.mobilenet_v3_small,
    "shufflenet": models.shufflenet_v2_x0_5,
}


def network(make: str) -> Net:
    """A network with random weights and a new head."""
    torch.manual_seed(0)
    body, _, width = split(MAKES[make](), make)
    return Net(body.eval(), nn.Linear(width, CLASSES))


def probe(net: Net) -> Probe:
    """A head unlike the one that the network has."""
    rng = np.random.default_rng(0)
    shape = (CLASSES, net.head.in_features)
    weight, bias = rng.normal(size=shape) / 10, rng.normal(size=CLASSES)
    return Probe(weight.astype(np.float32), bias.astype(np.float32))


def batch() -> tuple[Tensor, Tensor]:
    """Normalised pictures and their classes."""
    torch.manual_seed(1)
    return torch.randn(6, 3, SIDE, SIDE), torch.arange(6) % CLASSES
