"""Tasks: what a network that answers several questions is asked, and how its one row of numbers is shared among them.

A network has one linear head. Its answer to a picture is one row, (outputs,), in which each task has a part: of classes
their logits, of a value the value itself. Everything between the data and the bundle handles that row; only the loss,
the figures and the reader of an answer take it apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl.errors import InputError
from edgetl.types import Record

__all__ = ["RESERVED", "Task", "Tasks", "check_name", "flat_names", "of_record", "scaled", "slices"]

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
RESERVED = ("input", "features", "logits", "probabilities")
"""Tensors that engines have already."""


class Task(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One question, and one output of the engine.

    Attributes
    ----------
    name : of the column it was learnt from, and of the engine's output.
    kind : ``classes``, of which one is right, or a ``value``.
    labels : the classes, sorted, in the order of the logits.
    mean, std : of the value on the pictures to train on, in its own unit.
    spread : mean distance of those from their median: the error of one who always answers the median. A point is one
        percent of it, as a point of top-1 is one percent of the pictures.
    assumed : how the kind was decided, where nobody said it.
    """

    name: str
    kind: Literal["classes", "value"]
    labels: tuple[str, ...] = ()
    mean: float = 0.0
    std: float = 1.0
    spread: float = 1.0
    assumed: str = ""

    @property
    def width(self) -> int:
        """Numbers of the row that are its own."""
        return len(self.labels) if self.kind == "classes" else 1

    def said(self) -> str:
        """As a summary lists it.

        >>> Task(name="kind", kind="classes", labels=("cat", "dog")).said()
        'kind (2 classes)'
        """
        return (
            f"{self.name} ({len(self.labels)} classes)" if self.kind == "classes" else f"{self.name} (value)"
        )


Tasks = tuple[Task, ...]


def of_record(kept: Any) -> Tasks:
    """Tasks from plain JSON data; none where there is ``None`` or nothing."""
    return msgspec.convert(kept or (), Tasks)


def slices(tasks: Sequence[Task]) -> list[slice]:
    """Each task's part of a row."""
    ends = np.cumsum([task.width for task in tasks]).tolist()
    return [slice(end - task.width, end) for task, end in zip(tasks, ends)]


def flat_names(tasks: Sequence[Task]) -> tuple[str, ...]:
    """A name for each number of a row.

    >>> flat_names([Task(name="kind", kind="classes", labels=("cat", "dog")), Task(name="age", kind="value")])
    ('kind: cat', 'kind: dog', 'age')
    """
    return tuple(
        name
        for task in tasks
        for name in ([f"{task.name}: {label}" for label in task.labels] if task.labels else [task.name])
    )


def scaled(tasks: Sequence[Task], rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Rows (N, outputs) in which a value is in spreads from its mean, so that no unit drowns the other tasks."""
    found = np.array(rows, np.float64)
    for task, part in zip(tasks, slices(tasks)):
        if task.kind == "value":
            found[:, part] = (found[:, part] - task.mean) / task.spread
    return found


def check_name(name: str) -> None:
    """Refuse a column whose name no engine's output can have.

    Raises
    ------
    InputError : says what one may be called.
    """
    if NAME.fullmatch(name) and name not in RESERVED:
        return
    why = (
        "is what an engine's tensor is called already"
        if name in RESERVED
        else "cannot name an engine's output"
    )
    raise InputError(
        f"label column {name!r} {why}",
        hint="rename the column: a letter, then letters, digits, '_', '.' or '-', at most 64",
    )
