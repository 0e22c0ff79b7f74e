"""Which pictures there are, of which class, in which role: folders and tables become one record."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np

from edgetl import digest
from edgetl.data import grouping, shards, split, table
from edgetl.data.columns import Answered
from edgetl.data.shards import SUFFIXES
from edgetl.data.split import ROLE_NAMES, Row
from edgetl.errors import InputError
from edgetl.tasks import Task, Tasks, flat_names
from edgetl.types import ROLES, USUAL, Reading, Record, Role
from edgetl.words import counted

__all__ = ["Dataset", "Sample", "pictures_in", "scan", "source_root"]


class Sample(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One picture: POSIX path below the data's root, class index, role, sha256 of its bytes, and its group if any.

    ``answers`` to several tasks, or to one that is no class, are class indices and values; ``label`` is then the class
    of the first task, or the part of its range that its value is in.
    """

    path: str
    label: int
    role: Role
    sha256: str
    group: str = ""
    answers: tuple[float, ...] = ()


class Dataset(Record, frozen=True, kw_only=True):
    """Labelled pictures with their roles. The root folder is not part of it: it may move.

    Attributes
    ----------
    classes : names, sorted; a label is an index into them. Of several tasks a name for each number of the answer.
    layout : how the source was read, in words.
    empty : class folders without a picture; they are no classes.
    grouped_by : what the samples' groups are, a column or a pattern; empty where there are none.
    shared_ids : columns of the table that look like the identity of what is pictured, and were not grouped by.
    tasks : what the samples' ``answers`` are to; unset where there is one label, a class.
    """

    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    layout: str
    empty: tuple[str, ...] = ()
    grouped_by: str = ""
    shared_ids: tuple[str, ...] = ()
    tasks: Tasks | msgspec.UnsetType = (
        msgspec.UNSET
    )  # unset it is not written: older files stay byte for byte

    @property
    def digest(self) -> str:
        """sha256 over the classes and every sample."""
        told = {"classes": self.classes, "samples": self.samples, "empty": self.empty}
        return digest.of_json(told | ({"tasks": self.tasks} if self.tasks else {}))

    def labels_to_train_on(self) -> tuple[int, ...]:
        """Pictures of each class in ``train``; of several tasks, of each class of each, and of values a quarter."""
        if self.tasks:
            train = [sample for sample in self.samples if sample.role == "train"]
            held = Counter(name for sample in train for name in self.named(sample))
            return tuple(held[name] for name in self.class_names()) or (len(train) // BINS,)
        counts = Counter(sample.label for sample in self.samples if sample.role == "train")
        return tuple(counts[label] for label in range(len(self.classes)))

    def class_names(self) -> tuple[str, ...]:
        """Every class, with its task before it where there are several; values have none."""
        if not self.tasks:
            return self.classes
        return flat_names([task for task in self.tasks if task.kind == "classes"])

    def named(self, sample: Sample) -> list[str]:
        """The classes of a sample, as ``class_names`` has them."""
        if not self.tasks:
            return [self.classes[sample.label]]
        answered = zip(self.tasks, sample.answers)
        return [f"{task.name}: {task.labels[int(value)]}" for task, value in answered if task.labels]

    def role_digests(self) -> dict[str, str]:
        """sha256 of each role's samples, so that a later run can tell that its test images are the same."""
        return {role: digest.of_json([s for s in self.samples if s.role == role]) for role in ROLES}


def source_root(source: Path) -> Path:
    """The folder that the paths of a source hang on."""
    named = shards.named(source)
    if named is not None:
        return shards.place_of(named)
    return source if source.is_dir() else source.parent


def scan(source: Path, *, seed: int, reading: Reading = USUAL) -> Dataset:
    """List labelled pictures, give each a role, and digest their contents; nothing is decoded.

    Parameters
    ----------
    source : a folder ``class/picture``, or one with ``train/``, ``val/`` and ``test/`` above that, or a CSV with a
        path and a label column and optionally a role column, or shards: a folder of them, ``a-{000..099}.tar`` or
        ``a.tar::b.tar``.
    seed : of the roles that have to be drawn.
    reading : columns of the table, and what pictures are grouped by.

    Notes
    -----
    Where roles are given they are kept. ``train`` and ``val`` alone: ``val`` is the test set, and the images to
    select on are drawn from ``train``. None given: 70 % train, 15 % select, 15 % test, drawn by class. What is drawn
    keeps groups whole; given roles that part a group are refused by ``check``.

    Raises
    ------
    InputError : it is missing or empty, has one class, or a class with too few pictures or groups; a column is not
        there, or a picture has no group.
    """
    rows, layout, told = _rows(source, reading)
    if not rows:
        raise InputError(
            f"{source} has no pictures in class folders",
            hint=f"expected {source.name}/<class>/<picture>, or train/ val/ test/ above the classes",
        )
    if told.answered is not None:
        return _several(source, rows, layout, told, told.answered, reading, seed)
    classes = tuple(sorted({label for _, label, _ in rows}))
    if len(classes) < 2:
        raise InputError(
            f"{source} has one class only ({classes[0]!r}): there is nothing to tell apart",
            hint="add a second class folder, or --label-column with another column of a table",
        )
    root = source_root(source)
    index = {name: number for number, name in enumerate(classes)}
    contents = told.contents or {path: digest.of_file(root / path) for path, _, _ in rows}
    groups = grouping.groups_of([path for path, _, _ in rows], reading.group_by, told.groups)
    numbered = [(path, index[label], role) for path, label, role in rows]
    roles = split.assign(numbered, contents, classes, seed, groups)
    samples = tuple(
        Sample(
            path=path, label=index[label], role=roles[path], sha256=contents[path], group=groups.get(path, "")
        )
        for path, label, _ in rows
    )
    empty = tuple(_empty(source, classes)) if source.is_dir() and not told.contents else ()
    return Dataset(
        classes=classes,
        samples=samples,
        layout=layout,
        empty=empty,
        grouped_by=reading.group_by or "",
        shared_ids=told.shared_ids,
    )


BINS = 4
"""Of a value, with as many pictures in each: every role gets low ones and high ones."""


def _several(
    source: Path,
    rows: list[Row],
    layout: str,
    told: table.Told,
    answered: Answered,
    reading: Reading,
    seed: int,
) -> Dataset:
    """The data set of several tasks. Roles are drawn so that each has its share of every class of every task."""
    root, paths = source_root(source), [path for path, _, _ in rows]
    contents = {path: digest.of_file(root / path) for path in paths}
    groups = grouping.groups_of(paths, reading.group_by, told.groups)
    labels = [_labels(task, number, answered, paths) for number, task in enumerate(answered.tasks)]
    names = list(dict.fromkeys(name for of in labels for name in of))
    index = {name: number for number, name in enumerate(names)}
    numbered = [(path, index[name], role) for of in labels for (path, _, role), name in zip(rows, of)]
    needed = {index[name] for task, of in zip(answered.tasks, labels) if task.labels for name in of}
    roles = split.assign(numbered, contents, names, seed, groups, needed)
    first = {name: number for number, name in enumerate(sorted(set(labels[0])))}
    samples = tuple(
        Sample(
            path=path,
            label=first[name],
            role=roles[path],
            sha256=contents[path],
            group=groups.get(path, ""),
            answers=answered.answers[path],
        )
        for path, name in zip(paths, labels[0])
    )
    tasks = tuple(_measured(task, number, samples) for number, task in enumerate(answered.tasks))
    return Dataset(
        classes=flat_names(tasks),
        samples=samples,
        layout=layout,
        grouped_by=reading.group_by or "",
        shared_ids=told.shared_ids,
        tasks=tasks,
    )


def _labels(task: Task, number: int, answered: Answered, paths: list[str]) -> list[str]:
    """What a task says of each picture, as a word: of a value the part of its range that it is in."""
    values = np.array([answered.answers[path][number] for path in paths])
    if task.kind == "classes":
        return [f"{task.name}: {task.labels[int(value)]}" for value in values]
    ranks, bins = np.argsort(np.argsort(values, kind="stable")), max(1, min(BINS, len(values) // 3))
    return [f"{task.name}: part {rank * bins // len(values) + 1} of its range" for rank in ranks.tolist()]


def _measured(task: Task, number: int, samples: tuple[Sample, ...]) -> Task:
    """A task with the scale that its values have on the pictures to train on; 0 where those are all the same."""
    if task.kind == "classes":
        return task
    values = np.array([sample.answers[number] for sample in samples if sample.role == "train"])
    spread = float(np.abs(values - np.median(values)).mean()) if len(values) else 0.0
    mean, std = (float(values.mean()), float(values.std())) if len(values) else (0.0, 0.0)
    return msgspec.structs.replace(task, mean=mean, std=std, spread=spread)


def _rows(source: Path, reading: Reading) -> tuple[list[Row], str, table.Told]:
    """Path, class name and given role of each picture, how they were found, and what the source says besides."""
    named = shards.named(source)
    if named is None and not source.exists():
        raise InputError(
            f"no such data: {source}",
            hint="--data DIR with one folder a class, a CSV with path,label, or shards-{000..099}.tar",
        )
    if named is None and source.is_file():
        rows, told = table.read(source, reading)
        return rows, f"table {source.name}", told
    kind = "a folder" if source.is_dir() else "no table"
    for column, option in (
        (reading.path_column, "path"),
        (_first(reading.label_column), "label"),
        (reading.role_column, "role"),
    ):
        if column is not None:
            raise InputError(
                f"--{option}-column {column} names a column, and {source} is {kind}",
                hint="--data TABLE.csv, whose paths are relative to it",
            )
    if reading.group_by is not None and not grouping.is_pattern(reading.group_by):
        raise InputError(
            f"--group-by {reading.group_by} names a column, and {source} is {kind}",
            hint=f"--data TABLE.csv, or a pattern over the paths: --group-by '{grouping.EXAMPLE}'",
        )
    rows, layout = ([], "") if named else _folders(source)
    below = named or ([] if rows else shards.below(source))
    return _sharded(source, below) if below else (rows, layout, table.Told())


def _first(columns: str | tuple[str, ...] | None) -> str | None:
    return columns[0] if isinstance(columns, tuple) else columns


def _sharded(source: Path, files: list[Path]) -> tuple[list[Row], str, table.Told]:
    found = shards.listed(files, source_root(source).absolute())
    rows = found.rows
    if any(role for _, _, role in rows) and not any(role == "test" for _, _, role in rows):
        rows = [(path, label, "test" if role == "select" else role) for path, label, role in rows]
    return rows, counted(len(files), "shard"), table.Told(contents=found.contents)


def _empty(root: Path, classes: tuple[str, ...]) -> list[str]:
    """Names of class folders that gave no picture in any role."""
    below = _below(root)
    if any(ROLE_NAMES.get(folder.name.lower()) == "train" for folder in below):
        below = [c for f in below if f.name.lower() in ROLE_NAMES for c in _below(f)]
    return sorted({folder.name for folder in below} - set(classes))


def _below(root: Path) -> list[Path]:
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _folders(root: Path) -> tuple[list[Row], str]:
    names = [folder.name for folder in _below(root)]
    named = {name: ROLE_NAMES[name.lower()] for name in names if name.lower() in ROLE_NAMES}
    if "train" not in named.values():
        return _classes(root, Path(), None), "class folders"
    if "test" not in named.values():  # train and val alone: val is what the report is on
        named = {name: "test" if role == "select" else role for name, role in named.items()}
    rows = [row for name, role in sorted(named.items()) for row in _classes(root, Path(name), role)]
    return rows, " and ".join(f"{name}/" for name in named)


def _classes(root: Path, below: Path, role: Role | None) -> list[Row]:
    rows: list[Row] = []
    for folder in _below(root / below):
        rows += [(file.relative_to(root).as_posix(), folder.name, role) for file in pictures_in(folder)]
    return rows


def pictures_in(place: Path) -> list[Path]:
    """A picture file itself, or every picture below a folder, sorted; links to folders are not followed.

    Raises
    ------
    InputError : it does not exist, or a picture is a link to nothing.
    """
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise InputError(f"no such file or folder: {place}", hint="check the path")
    found = []
    for folder, _, names in os.walk(place):
        found += [Path(folder, name) for name in names if Path(name).suffix.lower() in SUFFIXES]
    broken = next((path for path in found if not path.exists()), None)
    if broken is not None:
        raise InputError(f"{broken} is a link to nothing", hint="remove it, or bring its target back")
    return sorted(path for path in found if path.is_file())  # a pipe or a device has no end
