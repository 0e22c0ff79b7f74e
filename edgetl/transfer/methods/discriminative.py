"""``--method discriminative``: from the linear probe on, the deeper a part lies the gentler and the later it trains."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from edgetl.transfer.backbone import Net
from edgetl.transfer.depth import blocks, freeze
from edgetl.transfer.methods.full import Full, grouped
from edgetl.transfer.probe import Probe

__all__ = ["Discriminative"]

RATE = 5e-4
DECAY = 2.6
"""Howard & Ruder 2018 (ULMFiT, arXiv:1801.06146), section 3.2: the rate of a part over that of the one before it."""
PARTS = 4


class Discriminative(Full):
    """Rates that decay with depth, and gradual unfreezing (Howard & Ruder 2018, sections 3.2 and 3.3).

    The head starts from a logistic regression on the frozen features: from a random one, the first steps would
    distort the features that it has yet to learn to read (Kumar et al. 2022, arXiv:2202.10054). Batch norm keeps the
    statistics that this head was fitted under, also in parts that train.

    Parameters
    ----------
    rate : learning rate of the head; ``None`` takes 5e-4.
    size : side of the pictures, in pixels. probe : what the head starts from.
    """

    def __init__(self, rate: float | None, size: int, probe: Probe) -> None:
        super().__init__(RATE if rate is None else rate)
        self._size = size
        self._probe = probe
        self._parts: list[list[nn.Module]] = []

    def prepare(self, net: Net) -> list[dict[str, Any]]:
        """One pair of groups for each part of the body, from the picture on, and one for the head."""
        self._probe.put(net)
        self._parts = blocks(net.body, self._size, PARTS)
        seen: set[int] = set()
        groups: list[dict[str, Any]] = []
        for depth, part in enumerate(self._parts):
            rate = self._rate / DECAY ** (len(self._parts) - depth)
            own = [p for module in part for p in module.parameters(recurse=False)]
            fresh = [
                p for p in own if id(p) not in seen
            ]  # a shared weight trains with the first that uses it
            seen |= {id(p) for p in fresh}
            groups += grouped(fresh, rate)
        return [*groups, *grouped(net.head.parameters(), self._rate)]

    def start(self, net: Net, epoch: int) -> None:
        """The part before the head trains from the first epoch on, and one more in each that follows."""
        net.train()
        for depth, part in enumerate(self._parts):
            freeze(part, frozen=len(self._parts) - depth > epoch + 1)
        for module in net.body.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
