"""How a way of training plugs into the trainer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from torch import Tensor

from edgetl.transfer.backbone import Net

__all__ = ["Lessons", "Method"]


class Lessons(Protocol):
    """What a training sees, epoch by epoch."""

    def __len__(self) -> int:
        """Batches of an epoch."""

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Any]]:
        """Batches of uint8 (N, 3, H, W), and what ``Method.step`` wants of them; equal for an equal number."""


class Method(Protocol):
    """A way to transfer a backbone; the loop, checkpoints, early stop, precision and resume are the trainer's.

    Attributes
    ----------
    notes : what the user should know, once it is prepared.
    weights : of each class in the loss, float32 (classes,); ``None``: all alike.
    """

    notes: tuple[str, ...]
    weights: Tensor | None

    def prepare(self, net: Net) -> list[dict[str, Any]]:
        """Make the network ready; the parameter groups to train, each with its ``lr``.

        May add to the network what ``finish`` removes again: what is part of it is saved and resumed with it.
        """

    def start(self, net: Net, epoch: int) -> None:
        """Before each epoch, counted from 0: what trains is in training mode, what is frozen in eval mode."""

    def step(self, net: Net, pictures: Tensor, targets: Any) -> Tensor:
        """The loss of a batch: normalised pictures (N, 3, H, W), and what the batches say of them.

        That is classes (N,), shares of classes (N, classes), or ``Taught`` for a method that has a teacher.
        """

    def finish(self, net: Net) -> Net:
        """The plain network that exports like any other, of the best epoch."""
