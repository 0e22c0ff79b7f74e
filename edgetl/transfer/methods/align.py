"""A way of training that also draws the features of target frames, which have no labels, to those of the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from torch import Tensor
from torch.utils.hooks import RemovableHandle

from edgetl.transfer.augment import Batches
from edgetl.transfer.backbone import Net
from edgetl.transfer.methods.seam import Method

__all__ = ["Aligned", "Alignment"]


class Alignment(Protocol):
    """How far apart two domains are, as a loss."""

    def attach(self, net: Net, rate: float) -> list[dict[str, Any]]:
        """Add to the network what is trained with it; its parameter groups, at most at ``rate``."""

    def loss(self, net: Net, source: Tensor, target: Tensor, progress: float) -> Tensor:
        """Of features (N, D) and (M, D), when a share ``progress`` of the training is over; weighted."""

    def detach(self, net: Net) -> None:
        """Remove what ``attach`` added."""


class Aligned:
    """A base method whose loss has the alignment added. What the base freezes stays frozen.

    Source and target go through the network apart, so that each is normalised by statistics of its own.

    Parameters
    ----------
    frames : of the target; what it says of labels is not looked at.
    place : uint8 (N, 3, H, W) to normalised pixels, where and how the network wants them.
    epochs, steps : of the training, and in each epoch.
    """

    def __init__(
        self,
        base: Method,
        alignment: Alignment,
        frames: Batches,
        place: Callable[[Tensor], Tensor],
        *,
        epochs: int,
        steps: int,
    ) -> None:
        self.notes: tuple[str, ...] = ()
        self.weights = base.weights
        self._base = base
        self._alignment = alignment
        self._frames = frames
        self._place = place
        self._steps = epochs * steps
        self._a_epoch = steps
        self._done = 0
        self._queue: Iterator[Tensor] = iter(())
        self._features: Tensor | None = None
        self._hook: RemovableHandle | None = None

    def prepare(self, net: Net) -> list[dict[str, Any]]:
        """The base's groups, and those of the alignment at the base's highest rate."""
        groups = self._base.prepare(net)
        self.notes = self._base.notes
        self._hook = net.head.register_forward_pre_hook(self._keep)
        return groups + self._alignment.attach(net, max(group["lr"] for group in groups))

    def start(self, net: Net, epoch: int) -> None:
        """What the base says; the frames of an epoch depend on its number alone, for a training that resumes."""
        self._base.start(net, epoch)
        self._done = epoch * self._a_epoch
        self._queue = self._drawn(epoch)

    def step(self, net: Net, pictures: Tensor, targets: Tensor) -> Tensor:
        """The base's loss, plus the alignment of its features with those of a batch of frames."""
        loss = self._base.step(net, pictures, targets)
        source = self._features
        assert source is not None, "the base did not come by the head"
        target: Tensor = net.body(self._place(next(self._queue)))
        progress = self._done / self._steps
        self._done += 1
        return loss + self._alignment.loss(net, source, target, progress)

    def finish(self, net: Net) -> Net:
        """Without what the alignment added, and then what the base does."""
        if self._hook is not None:
            self._hook.remove()
        self._alignment.detach(net)
        return self._base.finish(net)

    def _keep(self, head: Any, inputs: tuple[Tensor, ...]) -> None:
        self._features = inputs[0]

    def _drawn(self, epoch: int) -> Iterator[Tensor]:
        """Frames for every step of an epoch: all of them once before any comes again."""
        rounds = -(-self._a_epoch // len(self._frames))
        for number in range(epoch * rounds, (epoch + 1) * rounds):
            for pictures, _ in self._frames.epoch(number):
                yield pictures
