"""Small networks that a test names as its own backbones; an exporter takes them in a moment."""

from __future__ import annotations

from torch import nn

__all__ = ["pixels", "small"]


def small() -> nn.Module:
    """Two convolutions and a head."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=4),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    )


def pixels() -> nn.Module:
    """Mean colours of sixteen places, and a head."""
    return nn.Sequential(nn.AvgPool2d(16), nn.Flatten(), nn.Linear(48, 10))
