"""What a classifier's head must read and write, and the time below which no kernel can be, by bandwidth alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgetl.devices import DeviceProfile

__all__ = ["HEADS", "TOP_K", "Head", "floor_us", "profiles"]

TOP_K = 5
HALF, FLOAT, INT32 = 2, 4, 4


@dataclass(frozen=True)
class Head:
    """A feature map of (C, H, W) for each image and a linear layer of (classes, C), both FP16; a bias in FP32."""

    channels: int
    height: int
    width: int
    classes: int

    def features_bytes(self, batch: int) -> int:
        """Of the maps of a batch."""
        return batch * self.channels * self.height * self.width * HALF

    def weights_bytes(self) -> int:
        """Of the layer and its bias."""
        return self.classes * (self.channels * HALF + FLOAT)

    def bytes(self, batch: int) -> int:
        """Features and weights once, and what is written: top-k indices and scores, and a status."""
        return self.features_bytes(batch) + self.weights_bytes() + batch * (TOP_K * (INT32 + FLOAT) + INT32)


HEADS = {
    "ResNet-50": Head(2048, 7, 7, 1000),
    "MobileNetV2": Head(1280, 7, 7, 1000),
    "21k classes": Head(2048, 7, 7, 21841),
}
"""The last is ResNet-50's features with the classes of ImageNet-21k."""


def floor_us(size: int, bandwidth_gb_s: float) -> float:
    """Microseconds that so many bytes take; a launch comes on top.

    >>> floor_us(4_096_000, 102.4)
    40.0
    """
    return size / bandwidth_gb_s / 1e3


def profiles(known: Mapping[str, DeviceProfile]) -> dict[str, float]:
    """Bandwidth of each NVIDIA profile whose data sheet tells one, GB/s."""
    return {
        name: profile.facts.bandwidth_gb_s
        for name, profile in known.items()
        if profile.backend == "tensorrt" and profile.facts.bandwidth_gb_s is not None
    }
