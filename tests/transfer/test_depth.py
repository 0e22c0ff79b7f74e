"""Depth is the order in which a picture passes through a network, whatever its make."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from edgetl.transfer.depth import blocks, entered, freeze
from tests.transfer.networks import MAKES, SIDE, network


@pytest.mark.parametrize("make", MAKES)
def test_each_module_is_in_one_part_and_no_part_is_empty(make: str) -> None:
    body = network(make).body
    parts = blocks(body, SIDE, 4)
    assert sorted(map(id, (m for part in parts for m in part))) == sorted(map(id, body.modules()))
    assert all(any(list(m.parameters(recurse=False)) for m in part) for part in parts)


def test_order_of_use_counts_and_not_that_of_registration() -> None:
    body = network("own").body
    first, second, third = blocks(body, SIDE, 3)
    assert body.first in first
    assert body.norm in first, "a norm belongs to the layer before it"
    assert body.second in second
    assert body.third in third


def test_parts_have_as_many_layers_each() -> None:
    parts = blocks(network("resnet10").body, SIDE, 4)
    counts = [sum(type(m) is torch.nn.Conv2d for m in part) for part in parts]
    assert sum(counts) == 12
    assert max(counts) - min(counts) <= 1


def test_there_are_no_more_parts_than_layers() -> None:
    assert len(blocks(network("own").body, SIDE, 12)) == 3


def test_a_layer_that_is_only_read_is_not_entered_and_modes_are_as_before() -> None:
    body: Any = network("borrower").body
    body.called.train()
    found = entered(body, SIDE)
    assert body.called in found
    assert body.borrowed not in found
    assert body.called.training
    assert not body.training


def test_frozen_modules_are_in_eval_mode_and_get_no_gradient() -> None:
    body: Any = network("own").body.train()
    freeze([body.first, body.norm], True)
    assert not body.norm.training
    assert not body.first.weight.requires_grad
    assert body.third.weight.requires_grad
    freeze([body.norm], False)
    assert body.norm.training
    assert body.norm.weight.requires_grad
