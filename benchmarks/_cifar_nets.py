"""The residual networks for CIFAR-10 of He et al. 2016, as factories that ``--model`` and ``--teacher`` can name."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ResNet", "resnet8", "resnet56"]


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


class ResNet(nn.Module):
    """6 n + 2 layers, as the keys of the weight files name them.

    Parameters
    ----------
    blocks : n, the blocks of each of the three stages.
    """

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        for stage, (width, into) in enumerate(((16, 16), (16, 32), (32, 64)), start=1):
            made = [_Block(width, into), *(_Block(into, into) for _ in range(blocks - 1))]
            setattr(self, f"layer{stage}", nn.Sequential(*made))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 10) of normalised pictures (N, 3, 32, 32)."""
        x = functional.relu(self.bn1(self.conv1(x)))
        for stage in (1, 2, 3):
            x = getattr(self, f"layer{stage}")(x)
        logits: Tensor = self.linear(x.mean(dim=(2, 3)))
        return logits


def resnet8() -> ResNet:
    """One block a stage, 78 thousand parameters."""
    return ResNet(1)


def resnet56() -> ResNet:
    """Nine blocks a stage, 853 thousand parameters."""
    return ResNet(9)
