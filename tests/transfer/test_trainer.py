"""The loop keeps the best epoch, and what it had when a loss is not finite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor

from edgetl.errors import GateFailed
from edgetl.transfer.backbone import Net
from edgetl.transfer.distributed import Group
from edgetl.transfer.fastpath import FastPath
from edgetl.transfer.goals import OneClass
from edgetl.transfer.methods.full import Full
from edgetl.transfer.trainer import Trainer
from edgetl.types import Preprocess
from tests.transfer.networks import CLASSES, SIDE, network

T = TypeVar("T")
RULE = Preprocess(height=SIDE, width=SIDE, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
PICTURES = np.random.default_rng(0).integers(0, 256, (6, SIDE, SIDE, 3), dtype=np.uint8)
LABELS = np.arange(6) % CLASSES


class Few:
    """One batch an epoch."""

    def __len__(self) -> int:
        return 1

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The same pictures each time."""
        yield torch.from_numpy(PICTURES).permute(0, 3, 1, 2), torch.from_numpy(LABELS)


class Breaking(Full):
    """Its loss is not a number from an epoch on."""

    def __init__(self, at: int) -> None:
        super().__init__(None)
        self._at = at
        self._epoch = 0

    def start(self, net: Net, epoch: int) -> None:
        """Remember where we are."""
        super().start(net, epoch)
        self._epoch = epoch

    def step(self, net: Net, pictures: Tensor, targets: Tensor) -> Tensor:
        """The usual loss, or NaN."""
        loss = super().step(net, pictures, targets)
        return loss * torch.nan if self._epoch >= self._at else loss


class Told(OneClass):
    """Epochs come to what they are told to: an accuracy and a loss each."""

    def __init__(self, *epochs: tuple[float, float]) -> None:
        super().__init__(None)
        self._epochs = iter(epochs)

    def judge(self, sums: Sequence[float]) -> tuple[float, float]:
        """The next one."""
        return next(self._epochs)


def trainer(
    method: Full, state: Path, group: Group | None = None, goal: OneClass | None = None, epochs: int = 4
) -> Trainer:
    """A small network."""
    return Trainer(
        network("own"),
        method,
        Few(),
        (PICTURES, LABELS),
        RULE,
        FastPath(),
        epochs=epochs,
        seed=0,
        state=state,
        goal=goal,
        group=group,
    )


def test_a_loss_that_is_no_number_ends_training_with_the_best_epoch_before_it(tmp_path: Path) -> None:
    net, done = trainer(Breaking(2), tmp_path).train()
    assert done.epoch == 2
    assert "the loss is nan in epoch 3, step 1" in done.diverged
    assert f"epoch {done.best_epoch}, the best before it, is kept" in done.diverged
    assert "--lr" in done.diverged
    assert all(torch.isfinite(tensor).all() for tensor in net.state_dict().values())


def test_a_loss_that_is_no_number_in_the_first_epoch_is_the_answer_no(tmp_path: Path) -> None:
    with pytest.raises(GateFailed, match="in epoch 1, step 1") as caught:
        trainer(Breaking(0), tmp_path).train()
    assert "--lr" in caught.value.hint


def test_weights_that_broke_in_the_last_step_are_heard_on_the_select_images(tmp_path: Path) -> None:
    class Exploding(Full):
        """Its last step leaves weights that are no numbers, after a loss that is one."""

        def step(self, net: Net, pictures: Tensor, targets: Tensor) -> Tensor:
            """A finite loss with a gradient that is not."""
            loss = super().step(net, pictures, targets)
            return loss + (net.head.weight.sum() * 0).sqrt()

    with pytest.raises(GateFailed, match="select images"):
        trainer(Exploding(None), tmp_path).train()


def test_a_calm_training_says_nothing_of_divergence(tmp_path: Path) -> None:
    _, done = trainer(Full(None), tmp_path).train()
    assert done.diverged == ""
    assert done.epoch == 4


def test_a_process_without_select_images_gives_as_many_sums_as_the_others(tmp_path: Path) -> None:
    class Second(Group):
        """What the first of two processes has is known; no select image is left for this one."""

        def part(self, rows: Sequence[T]) -> Sequence[T]:
            """Nothing."""
            return rows[:0]

        def total(self, *numbers: float) -> tuple[float, ...]:
            """The first one's sums and these, which must be alike in number or gloo waits for ever."""
            return tuple(mine + theirs for mine, theirs in zip(numbers, (4.0, 3.0, 6.0), strict=True))

    _, done = trainer(Full(None), tmp_path, Second()).train()
    assert done.history[0]["accuracy"] == pytest.approx(4 / 6)
    assert done.history[0]["select_loss"] == pytest.approx(3 / 6)


def test_training_goes_on_while_the_loss_falls_and_keeps_the_most_accurate_epoch(tmp_path: Path) -> None:
    falling = [(0.5, 2.0 - epoch / 10) for epoch in range(10)]
    goal = Told((0.6, 3.0), *falling)
    _, done = trainer(Full(None), tmp_path, goal=goal, epochs=11).train()
    assert (done.epoch, done.best_epoch) == (11, 1)


def test_training_ends_six_epochs_after_the_last_that_was_better_in_anything(tmp_path: Path) -> None:
    goal = Told((0.6, 3.0), (0.5, 2.0), *[(0.5, 2.5)] * 20)
    _, done = trainer(Full(None), tmp_path, goal=goal, epochs=22).train()
    assert (done.epoch, done.best_epoch) == (8, 1)


def test_a_long_training_waits_a_fifth_of_its_epochs(tmp_path: Path) -> None:
    goal = Told((0.6, 3.0), (0.5, 2.0), *[(0.5, 2.5)] * 98)
    _, done = trainer(Full(None), tmp_path, goal=goal, epochs=100).train()
    assert (done.epoch, done.best_epoch) == (22, 1)
