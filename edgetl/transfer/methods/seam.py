"""How a way of training plugs into the trainer."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor

from edgetl.transfer.backbone import Net

__all__ = ["Method"]


class Method(Protocol):
    """A way to transfer a backbone; the loop, checkpoints, early stop, precision and resume are the trainer's."""

    def prepare(self, net: Net) -> list[dict[str, Any]]:
        """Make the network ready; the parameter groups to train, each with its ``lr``.

        May add to the network what ``finish`` removes again. A frozen part must also be in eval mode, and stay there.
        """

    def step(self, net: Net, pictures: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch: normalised pictures (N, 3, H, W), class indices (N,)."""

    def finish(self, net: Net) -> Net:
        """The plain network that exports like any other."""
