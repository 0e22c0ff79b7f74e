"""A checkpoint holds whatever network was trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgetl.transfer import backbone, checkpoint
from edgetl.transfer.checkpoint import Checkpoint
from edgetl.types import BuildSpec

SIDE = 16


def twice() -> nn.Module:
    """A network whose convolution is there under two names."""
    layer = nn.Conv2d(3, 3, 3)
    return nn.Sequential(layer, nn.ReLU(), layer, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))


def test_a_network_with_a_layer_under_two_names_comes_back_as_it_was(tmp_path: Path) -> None:
    spec = BuildSpec(data="", model=f"{__name__}:twice", image_size=SIDE, seed=3)
    made = backbone.create(spec, 2)
    record = Checkpoint(
        model=spec.model,
        method="full",
        classes=("a", "b"),
        preprocess=made.preprocess,
        normalisation="",
        initial_weights="",
        seed=3,
    )
    checkpoint.save(made.net, record, np.zeros((1, SIDE, SIDE, 3), np.uint8), tmp_path)
    found, _ = checkpoint.load(tmp_path)
    pictures = torch.randn(2, 3, SIDE, SIDE)
    with torch.inference_mode():
        assert torch.equal(found(pictures), made.net.eval()(pictures))
