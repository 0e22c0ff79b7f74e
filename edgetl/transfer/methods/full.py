"""``--method full``: all weights are trained, the body gently, the new head at full rate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from edgetl.transfer.backbone import Net
from edgetl.transfer.goals import Goal
from edgetl.transfer.methods.losses import Counted, cross_entropy

__all__ = ["Full", "grouped"]

HEAD_RATE = 2e-3
BODY_SHARE = 0.1
"""The body's rate as a share of the head's: its weights are near their place, the head's are not."""
SMOOTHING = 0.1
DECAY = 0.01


class Full:
    """Cross-entropy on every weight.

    Parameters
    ----------
    rate : learning rate of the head; ``None`` takes 2e-3.
    body_share : the body's rate as a share of it; 1 where its weights are random.

    Attributes
    ----------
    goal : what several tasks are held against; ``None``: classes.
    counted : what weighted losses are divided by, where this process has a part of each batch.
    """

    notes: tuple[str, ...] = ()
    weights: Tensor | None = None
    goal: Goal | None = None

    def __init__(self, rate: float | None, body_share: float = BODY_SHARE) -> None:
        self._rate = HEAD_RATE if rate is None else rate
        self._body_share = body_share
        self.counted: Counted = Tensor.sum

    def prepare(self, net: Net) -> list[dict[str, Any]]:
        """Two groups: the body and the head, each at its rate. Biases and norms are not decayed."""
        body, head = net.body.parameters(), net.head.parameters()
        return [*grouped(body, self._rate * self._body_share), *grouped(head, self._rate)]

    def start(self, net: Net, epoch: int) -> None:
        """Everything trains."""
        net.train()

    def step(self, net: Net, pictures: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy with label smoothing, or the loss of several tasks."""
        if self.goal is not None:
            return self.goal.loss(net(pictures), targets, SMOOTHING, self.counted)
        return cross_entropy(net(pictures), targets, self.weights, SMOOTHING, self.counted)

    def finish(self, net: Net) -> Net:
        """Nothing was added."""
        return net


def grouped(parameters: Iterable[nn.Parameter], rate: float, decay: float = DECAY) -> list[dict[str, Any]]:
    """Groups of one learning rate: matrices and kernels are decayed, biases and norms are not; none is empty."""
    every = list(parameters)
    parts = (([p for p in every if p.dim() > 1], decay), ([p for p in every if p.dim() <= 1], 0.0))
    return [{"params": found, "lr": rate, "weight_decay": decayed} for found, decayed in parts if found]
