"""Processes share a batch: together they see what one would."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from edgetl.errors import InputError
from edgetl.processes import Processes, check_batch
from edgetl.tasks import Task
from edgetl.transfer.augment import Augmenter, Batches
from edgetl.transfer.distributed import Group, Together, part
from edgetl.transfer.goals import Several
from edgetl.transfer.methods.full import Full
from edgetl.transfer.policy import policy_of
from edgetl.types import Preprocess
from tests.data.pictures import folders
from tests.transfer.networks import SIDE, network

T = TypeVar("T")


def place(rank: int, count: int) -> Processes:
    """One of ``count`` processes of a machine."""
    return Processes(
        rank=rank, count=count, local_rank=rank, local_count=count, host="localhost", port=1, attempt=0
    )


@given(st.integers(0, 70), st.integers(1, 9))
def test_the_parts_are_the_batch_in_order_and_differ_by_one_at_most(size: int, count: int) -> None:
    rows = list(range(size))
    parts = [part(rows, rank, count) for rank in range(count)]
    assert [row for one in parts for row in one] == rows
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


class OneOf(Group):
    """A group of several that never meet."""

    def __init__(self, rank: int, count: int) -> None:
        self._rank, self.local_count = rank, count

    def part(self, rows: Sequence[T]) -> Sequence[T]:
        """This one's."""
        return part(rows, self._rank, self.local_count)


@pytest.mark.parametrize("count", [2, 3])
def test_processes_together_see_the_pictures_of_one_varied_alike(tmp_path: Path, count: int) -> None:
    root = folders(tmp_path, {"ants": 9, "bees": 8})
    files = sorted(file.relative_to(tmp_path).as_posix() for file in root.rglob("*.png"))
    rule = Preprocess(height=16, width=16, mean=(0, 0, 0), std=(1, 1, 1))

    def epoch(group: Group) -> list[tuple[torch.Tensor, torch.Tensor]]:
        labels = [int(file.startswith("bees")) for file in files]
        augmenter = Augmenter(policy_of("default", flip=True), rule, 2)
        made = Batches(root, files, labels, augmenter, batch_size=7, seed=1, group=group)
        return list(made.epoch(2))

    whole, shares = epoch(Group()), [epoch(OneOf(rank, count)) for rank in range(count)]
    assert len(whole) == 2
    for step, (pictures, targets) in enumerate(whole):
        assert torch.equal(torch.cat([share[step][0] for share in shares]), pictures)
        assert torch.equal(torch.cat([share[step][1] for share in shares]), targets)


class Beside(Together):
    """One of two processes; what both have together is known."""

    def __init__(self, rank: int, sums: tuple[float, ...]) -> None:
        super().__init__(place(rank, 2), "cpu")
        self._sums = sums

    def total(self, *numbers: float) -> tuple[float, ...]:
        """The sums of both."""
        assert len(numbers) == len(self._sums)
        return self._sums


KIND = Task(name="kind", kind="classes", labels=("ant", "bee"))
AGE = Task(name="age", kind="value")
RARE = torch.tensor([0.5, 4.5, 1.0])


@pytest.mark.parametrize("several", [False, True], ids=["one class", "several tasks"])
def test_a_rare_class_counts_alike_whichever_process_has_its_pictures(several: bool) -> None:
    net, method = network("own").eval(), Full(None)
    pictures = torch.randn(19, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor(
        [0] * 17 + [1] * 2
    )  # nine to one, and all of the rare ones fall to the second process
    targets, method.weights = labels, RARE
    if several:
        goal = Several((KIND, AGE), {"kind": RARE[:2].tolist()})
        targets = torch.from_numpy(goal.targets(np.stack([labels.numpy(), np.arange(19.0)], axis=1)))
        method.goal = goal

    def learnt(group: Group, rows: Sequence[int]) -> list[Tensor]:
        """The loss and its gradient, at the share that these pictures have in a mean over all."""
        method.counted = group.counted
        loss = method.step(net, pictures[rows], targets[rows])
        slopes = torch.autograd.grad(loss, list(net.parameters()))
        return [one * (len(rows) / 19) for one in (loss.detach(), *slopes)]

    whole = learnt(Group(), range(19))
    sums = (float(RARE[labels].sum()), 19.0)
    shares = [learnt(Beside(rank, sums), part(range(19), rank, 2)) for rank in range(2)]
    for together, alone in zip(map(sum, zip(*shares)), whole):
        torch.testing.assert_close(together, alone)


def test_a_batch_that_is_too_small_for_the_processes_is_refused() -> None:
    check_batch(8, place(0, 4))
    check_batch(1, None)
    with pytest.raises(InputError) as caught:
        check_batch(7, place(0, 4))
    assert "--batch-size 8" in caught.value.hint
