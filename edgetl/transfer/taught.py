"""Batches whose targets hold a teacher's answers beside the classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from edgetl.transfer.augment import Augmenter, Batches
from edgetl.types import Preprocess

__all__ = ["Taught", "TaughtBatches", "Teacher"]


class Teacher(Protocol):
    """A network that is asked and never trained.

    Attributes
    ----------
    preprocess : how a picture becomes its input, which need not be the student's.
    """

    preprocess: Preprocess

    def answers(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, classes) and embeddings (N, D), float32, of pictures (N, 3, H, W) of its size, 0 to 255."""


@dataclass(frozen=True)
class Taught:
    """What a batch is to be.

    Attributes
    ----------
    classes : (N,), or shares of them (N, classes).
    logits, features : the teacher's answers to the same pictures, (N, classes) and (N, D).
    """

    classes: Tensor
    logits: Tensor
    features: Tensor

    def to(self, device: torch.device | str) -> Taught:
        """All of it on a device."""
        return Taught(self.classes.to(device), self.logits.to(device), self.features.to(device))


class TaughtBatches:
    """The student's batches, answered by a teacher that sees the same augmented pictures at its own size.

    Parameters
    ----------
    augmenter : varies pictures for the teacher by the policy of the student's batches.
    """

    def __init__(self, batches: Batches, teacher: Teacher, augmenter: Augmenter) -> None:
        self._batches = batches
        self._teacher = teacher
        self._augmenter = augmenter

    def __len__(self) -> int:
        return len(self._batches)

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Taught]]:
        """Batches (N, 3, H, W) of the student's size and what they are to be."""
        for (own, theirs), (classes, _) in self._batches.views(number, self._augmenter):
            yield own, Taught(classes, *self._teacher.answers(theirs))
