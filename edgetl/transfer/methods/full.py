"""``--method full``: all weights are trained, the body gently, the new head at full rate."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from edgetl.transfer.backbone import Net
from edgetl.transfer.methods.losses import cross_entropy

__all__ = ["Full"]

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
    weights : of each class in the loss, float32 (classes,); ``None``: all alike.
    """

    def __init__(self, rate: float | None, weights: Tensor | None = None) -> None:
        self._rate = HEAD_RATE if rate is None else rate
        self._weights = weights

    def prepare(self, net: Net) -> list[dict[str, Any]]:
        """Two groups: the body at a tenth of the head's rate. Biases and norms are not decayed."""
        groups: list[dict[str, Any]] = []
        for part, rate in ((net.body, self._rate * BODY_SHARE), (net.head, self._rate)):
            weights = [p for p in part.parameters() if p.dim() > 1]
            others = [p for p in part.parameters() if p.dim() <= 1]
            groups.append({"params": weights, "lr": rate, "weight_decay": DECAY})
            groups.append({"params": others, "lr": rate, "weight_decay": 0.0})
        return [group for group in groups if group["params"]]

    def start(self, net: Net, epoch: int) -> None:
        """Everything trains."""
        net.train()

    def step(self, net: Net, pictures: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy with label smoothing."""
        return cross_entropy(net(pictures), targets, self._weights, SMOOTHING)

    def finish(self, net: Net) -> Net:
        """Nothing was added."""
        return net
