"""DANN: features from which a discriminator cannot tell the domain.

Ganin et al. 2016, "Domain-Adversarial Training of Neural Networks", JMLR 17(59), arXiv:1505.07818.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgetl.transfer.backbone import Net

__all__ = ["Dann", "reverse_gradient", "strength"]

DISCRIMINATOR = "discriminator"
WIDTH = 256
GAMMA = 10.0
WEIGHT = 1.0


class _Reversal(torch.autograd.Function):
    """Equation 18: the identity forwards, ``-strength`` times the gradient backwards."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.factor * gradient, None


def reverse_gradient(features: Tensor, factor: float) -> Tensor:
    """The same features, whose gradient comes back reversed and times ``factor``."""
    reversed_: Tensor = _Reversal.apply(features, factor)
    return reversed_


def strength(progress: float) -> float:
    """How much of the reversed gradient reaches the body: from 0 to 1 as the training goes on (their section 5.2.2).

    >>> strength(0.0), round(strength(1.0), 4)
    (0.0, 0.9999)
    """
    return 2 / (1 + math.exp(-GAMMA * progress)) - 1


class Dann:
    """A discriminator that is part of the network while it is trained, and gone afterwards.

    Parameters
    ----------
    weight : of the domain's loss beside that of the base.
    """

    def __init__(self, weight: float = WEIGHT) -> None:
        self._weight = weight

    def attach(self, net: Net, rate: float) -> list[dict[str, Any]]:
        """Three linear layers on the features; trained at the head's rate."""
        width = net.head.in_features
        made = nn.Sequential(
            nn.Linear(width, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1)
        )
        net.add_module(DISCRIMINATOR, made.to(net.head.weight.device))
        return [{"params": list(made.parameters()), "lr": rate, "weight_decay": 0.0}]

    def loss(self, net: Net, source: Tensor, target: Tensor, progress: float) -> Tensor:
        """Binary cross-entropy of the domain, by a discriminator behind the reversal."""
        both = reverse_gradient(torch.cat([source, target]), strength(progress))
        said: Tensor = net.get_submodule(DISCRIMINATOR)(both).squeeze(1)
        domain = torch.cat([said.new_zeros(len(source)), said.new_ones(len(target))])
        return self._weight * functional.binary_cross_entropy_with_logits(said, domain)

    def detach(self, net: Net) -> None:
        """Without the discriminator."""
        delattr(net, DISCRIMINATOR)
