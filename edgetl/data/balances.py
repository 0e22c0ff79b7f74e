"""Classes of unequal size in several tasks: each task's own are made up for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgetl.data.imbalance import Balance, decide
from edgetl.tasks import Task
from edgetl.types import Record

__all__ = ["Balances", "of_answers"]


class Balances(Record, frozen=True, kw_only=True):
    """What training does about the classes of each task that has some, by its name."""

    by_task: dict[str, Balance]

    def weights(self) -> dict[str, tuple[float, ...]]:
        """Of each class in the loss; empty of a task that is not weighted."""
        return {name: balance.weights for name, balance in self.by_task.items()}

    def notes(self) -> list[str]:
        """What a user who did not ask for it should read."""
        return [f"{name}: {note}" for name, balance in self.by_task.items() for note in balance.notes()]

    def said(self) -> str:
        """The end of a line of the summary; empty where nothing is done."""
        return "".join(
            f" · {name}: {balance.said().removeprefix(' · ')}"
            for name, balance in self.by_task.items()
            if balance.said()
        )


def of_answers(asked: str, tasks: Sequence[Task], answers: npt.NDArray[np.float64]) -> Balances:
    """What ``--imbalance`` comes to, task by task, for the answers (N, tasks) of the pictures to train on."""
    return Balances(
        by_task={
            task.name: decide(
                asked, np.bincount(answers[:, number].astype(int), minlength=task.width).tolist()
            )
            for number, task in enumerate(tasks)
            if task.kind == "classes"
        }
    )
