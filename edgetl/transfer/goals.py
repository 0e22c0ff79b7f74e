"""What a network is to say, as a loss and as a figure to judge epochs by: one class, or answers to several tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgetl.tasks import Task, slices
from edgetl.transfer.methods.losses import Counted, cross_entropy

__all__ = ["Goal", "OneClass", "Several", "fold", "unfolded"]

Floats = npt.NDArray[np.float32]


class Goal(Protocol):
    """What rows of outputs are held against.

    Attributes
    ----------
    nothing : the ``sums`` of no pictures, which is what a process has whose part of them is empty.
    """

    nothing: tuple[float, ...]

    def loss(
        self, outputs: Tensor, targets: Tensor, smoothing: float, counted: Counted = Tensor.sum
    ) -> Tensor:
        """Mean loss of a batch to train on; ``smoothing`` is that of labels, ``counted`` that of ``cross_entropy``."""

    def sums(self, outputs: Tensor, targets: Tensor) -> tuple[float, ...]:
        """Of held-out pictures: numbers that may be added up over batches and processes, for ``judge``."""

    def judge(self, sums: Sequence[float]) -> tuple[float, float]:
        """A score, the higher the better and 1 where all is right, and a mean loss."""


class OneClass:
    """The right one of several classes.

    Parameters
    ----------
    weights : float32 (classes,), what a picture of each counts; ``None``: all alike.
    """

    nothing: tuple[float, ...] = (0.0, 0.0, 0.0)

    def __init__(self, weights: Tensor | None) -> None:
        self._weights = weights

    def loss(
        self, outputs: Tensor, targets: Tensor, smoothing: float, counted: Counted = Tensor.sum
    ) -> Tensor:
        """Cross-entropy of logits (N, classes) and classes (N,), or shares of them (N, classes)."""
        return cross_entropy(outputs, targets, self._weights, smoothing, counted)

    def sums(self, outputs: Tensor, targets: Tensor) -> tuple[float, ...]:
        """What the right ones count, the loss, and what all count."""
        weights = None if self._weights is None else self._weights.to(outputs.device)
        counts = torch.ones_like(targets, dtype=torch.float32) if weights is None else weights[targets]
        right = float(counts[outputs.argmax(1) == targets].sum())
        loss = float(functional.cross_entropy(outputs, targets, weights, reduction="sum"))
        return right, loss, float(counts.sum())

    def judge(self, sums: Sequence[float]) -> tuple[float, float]:
        """Accuracy, weighted as the pictures are, and the mean loss."""
        right, loss, total = sums
        return right / total, loss / total


class Several:
    """The answers to several tasks, all of which count the same.

    Classes are learnt by cross-entropy, values by Huber's loss in units of their standard deviation, and the loss is
    the mean of the tasks'. While it is trained, a network answers values in that unit; ``fold`` gives it the user's.

    Parameters
    ----------
    weights : of each class of a task, by the task's name; a task that is not there counts all alike.
    """

    def __init__(self, tasks: Sequence[Task], weights: Mapping[str, Sequence[float]]) -> None:
        self._tasks = list(zip(tasks, slices(tasks)))
        self.nothing = (0.0,) * (2 * len(tasks) + 2)
        self._weights = {
            name: torch.tensor(list(of), dtype=torch.float32) for name, of in weights.items() if of
        }

    def targets(self, answers: npt.NDArray[np.float64]) -> Floats:
        """What the outputs should be, float32 (N, outputs), of answers (N, tasks): shares of classes, scaled values."""
        parts = []
        for number, (task, _) in enumerate(self._tasks):
            mine = answers[:, number]
            if task.kind == "classes":
                parts.append(np.eye(task.width)[mine.astype(int)])
            else:
                parts.append((mine[:, None] - task.mean) / task.std)
        return np.concatenate(parts, axis=1).astype(np.float32)

    def loss(
        self, outputs: Tensor, targets: Tensor, smoothing: float, counted: Counted = Tensor.sum
    ) -> Tensor:
        """Of outputs and targets (N, outputs); targets may be mixed ones."""
        return torch.stack(
            [self._loss(task, outputs[:, p], targets[:, p], smoothing, counted) for task, p in self._tasks]
        ).mean()

    def _loss(
        self, task: Task, outputs: Tensor, targets: Tensor, smoothing: float, counted: Counted
    ) -> Tensor:
        if task.kind == "value":
            return functional.smooth_l1_loss(outputs.float(), targets)
        return cross_entropy(outputs, targets, self._weights.get(task.name), smoothing, counted)

    def sums(self, outputs: Tensor, targets: Tensor) -> tuple[float, ...]:
        """Of each task what is right and what all count, then the loss and the pictures."""
        told: list[float] = []
        for task, part in self._tasks:
            mine, wanted = outputs[:, part], targets[:, part]
            if (
                task.kind == "value"
            ):  # 1 less the error, where that of always answering the median counts as 1
                wrong = (mine - wanted).abs().sum() * (task.std / task.spread)
                told += [len(mine) - float(wrong), float(len(mine))]
                continue
            labels = wanted.argmax(1)
            weights = self._weights.get(task.name)
            counts = torch.ones(len(labels)) if weights is None else weights[labels.cpu()]
            told += [float(counts[(mine.argmax(1) == labels).cpu()].sum()), float(counts.sum())]
        return *told, float(self.loss(outputs, targets, 0.0)) * len(outputs), float(len(outputs))

    def judge(self, sums: Sequence[float]) -> tuple[float, float]:
        """The mean of the tasks' scores, and of the losses."""
        *told, loss, count = sums
        scores = [right / total for right, total in zip(told[::2], told[1::2])]
        return sum(scores) / len(scores), loss / count

    def score(self, outputs: Floats, answers: npt.NDArray[np.float64]) -> float:
        """``judge``'s score of scaled outputs (N, outputs) against answers (N, tasks), N at least 1."""
        found, wanted = torch.from_numpy(outputs), torch.from_numpy(self.targets(answers))
        return self.judge(self.sums(found, wanted))[0]


def fold(head: nn.Linear, tasks: Sequence[Task]) -> None:
    """Let a head that was trained on scaled values answer in the user's units."""
    with torch.no_grad():
        for task, part in zip(tasks, slices(tasks)):
            if task.kind == "value":
                head.weight[part] *= task.std
                head.bias[part] = head.bias[part] * task.std + task.mean


def unfolded(weight: Floats, bias: Floats, tasks: Sequence[Task]) -> tuple[Floats, Floats]:
    """A head in the user's units, (outputs, D) and (outputs,), as it is to be trained: the way back from ``fold``."""
    weight, bias = weight.copy(), bias.copy()
    for task, part in zip(tasks, slices(tasks)):
        if task.kind == "value":
            weight[part] /= task.std
            bias[part] = (bias[part] - task.mean) / task.std
    return weight, bias
