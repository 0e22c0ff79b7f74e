"""Label columns of a table: which are classes, which are values, and what they say of each picture."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edgetl import tasks
from edgetl.errors import InputError, did_you_mean
from edgetl.tasks import Task

__all__ = ["FEW", "KINDS", "Answered", "Column", "answers_of", "asked", "chosen", "kind_of"]

Kind = Literal["classes", "value"]
KINDS: tuple[Kind, ...] = ("classes", "value")
FEW = 20
"""So many different numbers may be names of classes."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Column:
    """A column of labels; ``assumed`` says how its kind was decided where nobody said it."""

    name: str
    kind: Kind
    assumed: str = ""


@dataclass(frozen=True)
class Answered:
    """What several columns, or one of values, say.

    Attributes
    ----------
    tasks : their scales are still to be measured on the pictures to train on.
    answers : of each path, a class index or a value for each task.
    """

    tasks: tuple[Task, ...]
    answers: Mapping[str, tuple[float, ...]]


def asked(text: str, header: Sequence[str]) -> tuple[str, Kind | None]:
    """A column and the kind that ``--label-column`` gives it: ``age``, ``age:value``, ``grade:classes``.

    >>> asked("age:value", ["path", "age"]), asked("kind", ["path", "kind"])
    (('age', 'value'), ('kind', None))
    """
    name, colon, kind = text.rpartition(":")
    if not colon or text in [one.strip() for one in header]:
        return text, None
    for known in KINDS:
        if kind == known:
            return name, known
    if name in [one.strip() for one in header]:
        raise InputError(
            f"--label-column {text}: {kind!r} is not a kind.{did_you_mean(kind, KINDS)}",
            hint=f"--label-column {name}:value predicts a number, {name}:classes tells classes apart",
        )
    return text, None


def kind_of(name: str, cells: Sequence[str], *, beside_others: bool) -> Column:
    """Whether a column that nobody spoke of holds classes or values.

    Values are numbers of which there are over ``FEW`` different ones, one of them on a single picture: that could be
    no class, which takes a picture to train on and one to test on.

    Parameters
    ----------
    beside_others : it is one of several; then it is also said of a column of numbers that it was taken as classes.
    """
    filled = [cell for cell in cells if cell]
    counts = Counter(filled)
    numbers = [float(cell) for cell in filled if NUMBER.fullmatch(cell)]
    if not filled or len(numbers) < len(filled):
        return Column(name, "classes")
    held = f"column {name!r} holds {len(counts)} different numbers from {min(numbers):g} to {max(numbers):g}"
    if len(counts) > FEW and min(counts.values()) == 1:
        return Column(
            name, "value", f"{held}: a value is predicted (--label-column {name}:classes tells them apart)"
        )
    if len(counts) > (2 if beside_others else FEW):
        return Column(
            name, "classes", f"{held}, taken as classes (--label-column {name}:value predicts the number)"
        )
    return Column(name, "classes")


def chosen(wanted: Sequence[tuple[str, Kind | None]], cells: Mapping[str, Sequence[str]]) -> list[Column]:
    """The columns of labels, each with its kind.

    Parameters
    ----------
    wanted : columns and the kinds that were asked for. cells : of each column.

    Raises
    ------
    InputError : one is named twice.
    """
    twice = [name for name, times in Counter(name for name, _ in wanted).items() if times > 1]
    if twice:
        raise InputError(
            f"--label-column {twice[0]} is given more than once",
            hint="name each column once: one output each",
        )
    return [
        Column(name, kind) if kind else kind_of(name, cells[name], beside_others=len(wanted) > 1)
        for name, kind in wanted
    ]


def answers_of(
    columns: Sequence[Column], cells: Mapping[str, Sequence[str]], paths: Sequence[str], table: str
) -> Answered:
    """Tasks, and each picture's answers to them.

    Parameters
    ----------
    cells : of each column, in the order of ``paths``. table : its file's name, for errors.

    Raises
    ------
    InputError : a cell is empty or no number, a column has one class, or its name is none for an output.
    """
    found, read = [], []
    for column in columns:
        tasks.check_name(column.name)
        where = [f"{table} line {number}: {path}" for number, path in enumerate(paths, start=2)]
        mine = list(zip(where, cells[column.name]))
        for place, cell in mine:
            if not cell:
                raise InputError(
                    f"{place} has no {column.name}",
                    hint="every picture takes an answer in every label column: fill the cell, or drop the line",
                )
        if column.kind == "value":
            read.append([_number(column.name, place, cell) for place, cell in mine])
            found.append(Task(name=column.name, kind="value", assumed=column.assumed))
            continue
        labels = tuple(sorted({cell for _, cell in mine}))
        if len(labels) < 2:
            raise InputError(
                f"column {column.name!r} of {table} has one class only ({labels[0]!r}): there is nothing to tell apart",
                hint="leave that --label-column out, or add pictures of a second class",
            )
        index = {label: float(number) for number, label in enumerate(labels)}
        read.append([index[cell] for _, cell in mine])
        found.append(Task(name=column.name, kind="classes", labels=labels, assumed=column.assumed))
    return Answered(tuple(found), dict(zip(paths, zip(*read))))


def _number(column: str, place: str, cell: str) -> float:
    value = float(cell) if NUMBER.fullmatch(cell) else math.nan
    if not math.isfinite(value):
        raise InputError(
            f"{place}: {column} is {cell!r}, expected a finite number",
            hint=f"mend the cell, drop the line, or --label-column {column}:classes",
        )
    return value
