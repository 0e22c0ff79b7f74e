"""TENT: the network becomes surer of target frames, by the scales of its norms alone."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from edgetl.errors import GateFailed
from edgetl.transfer import adabn, tent
from tests.transfer.test_adabn import network

SCALES = {"1.weight", "1.bias", "5.weight", "5.bias"}


def frames() -> list[torch.Tensor]:
    """Batches that are drawn from one place."""
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(16, 3, 8, 8, generator=generator) for _ in range(40)]


def test_entropy_falls_and_scales_and_shifts_alone_move() -> None:
    net = network()
    before = copy.deepcopy(net.state_dict())
    told = tent.sharpen(net, frames(), adabn.norms(net, "it"))
    assert sum(told[-8:]) < sum(told[:8])
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert {name for name in changed if not name.endswith("num_batches_tracked")} == SCALES
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_what_was_frozen_before_is_frozen_afterwards() -> None:
    net = network()
    net[0].requires_grad_(False)
    tent.sharpen(net, frames()[:2], adabn.norms(net, "it"))
    assert [p.requires_grad for p in net[0].parameters()] == [False, False]
    assert all(p.requires_grad for p in net[1].parameters())


def test_nan_is_not_sharpened() -> None:
    net = network()
    head = net[8]
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.bias[0] = torch.nan
    with pytest.raises(GateFailed, match="target frames"):
        tent.sharpen(net, frames()[:1], adabn.norms(net, "it"))
