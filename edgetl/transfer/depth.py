"""How deep in a network each of its parts lies, by the order in which a picture passes through them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

__all__ = ["blocks", "entered", "freeze", "order_of_use"]


def entered(body: nn.Module, size: int) -> dict[nn.Module, int]:
    """The modules that a picture passes through, each with its place in the order of first entry.

    A module whose parent uses its weights itself (the projections of torchvision's attention) is not among them.

    Parameters
    ----------
    size : side of the picture, in pixels.
    """
    modules = list(body.modules())
    places: dict[nn.Module, int] = {}

    def enter(module: nn.Module, _: Any) -> None:
        places.setdefault(module, len(places))

    hooks = [module.register_forward_pre_hook(enter) for module in modules]
    states = [module.training for module in modules]
    place = next(body.parameters()).device
    try:
        with torch.no_grad():
            body.eval()(torch.zeros(1, 3, size, size, device=place))
    finally:
        for hook in hooks:
            hook.remove()
        for module, state in zip(modules, states):
            module.training = state
    return places


def order_of_use(body: nn.Module, size: int) -> list[nn.Module]:
    """Every module in the order of first entry; one that is not entered follows the one registered before it."""
    places, keys, before = entered(body, size), {}, (0, 0)
    for module in body.modules():
        before = (places[module], 0) if module in places else (before[0], before[1] + 1)
        keys[module] = before
    return sorted(keys, key=keys.__getitem__)


def blocks(body: nn.Module, size: int, count: int) -> list[list[nn.Module]]:
    """A network cut across its depth into at most ``count`` parts with as many layers each.

    A layer is a module with a matrix, a kernel or an embedding of its own; what has none (a norm, a dropout, a block
    that only holds others) belongs to the layer before it.

    Returns
    -------
    The modules of each part, the one that sees the picture first; every module of ``body`` is in one.
    """
    order = order_of_use(body, size)
    layered = [any(p.dim() > 1 for p in module.parameters(recurse=False)) for module in order]
    layers = max(1, sum(layered))
    count = min(count, layers)
    parts: list[list[nn.Module]] = [[] for _ in range(count)]
    seen = 0
    for module, is_layer in zip(order, layered):
        seen += is_layer
        parts[max(0, seen - 1) * count // layers].append(module)
    return parts


def freeze(modules: Sequence[nn.Module], frozen: bool) -> None:
    """Stop the training of modules, or take it up; what is frozen is in eval mode: its statistics do not move."""
    for module in modules:
        module.training = not frozen
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(not frozen)
