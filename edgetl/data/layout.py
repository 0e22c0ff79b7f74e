"""Which pictures there are, of which class, in which role: folders and tables become one record."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from edgetl import digest
from edgetl.data import shards, split
from edgetl.data.shards import SUFFIXES
from edgetl.data.split import ROLE_NAMES, Row
from edgetl.errors import InputError
from edgetl.types import ROLES, Record, Role
from edgetl.words import counted

__all__ = ["Dataset", "Sample", "pictures_in", "scan", "source_root"]

PATH_COLUMNS = ("path", "file", "filename", "image")
LABEL_COLUMNS = ("label", "class")
ROLE_COLUMNS = ("role", "split", "set")


class Sample(Record, frozen=True, kw_only=True):
    """One picture: POSIX path below the data's root, class index, role, sha256 of its bytes."""

    path: str
    label: int
    role: Role
    sha256: str


class Dataset(Record, frozen=True, kw_only=True):
    """Labelled pictures with their roles. The root folder is not part of it: it may move.

    Attributes
    ----------
    classes : names, sorted; a label is an index into them.
    layout : how the source was read, in words.
    empty : class folders without a picture; they are no classes.
    """

    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    layout: str
    empty: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """sha256 over the classes and every sample."""
        return digest.of_json({"classes": self.classes, "samples": self.samples, "empty": self.empty})

    def role_digests(self) -> dict[str, str]:
        """sha256 of each role's samples, so that a later run can tell that its test images are the same."""
        return {role: digest.of_json([s for s in self.samples if s.role == role]) for role in ROLES}


def source_root(source: Path) -> Path:
    """The folder that the paths of a source hang on."""
    files = shards.named(source)
    if files is not None:
        return shards.place_of(files)
    return source if source.is_dir() else source.parent


def scan(source: Path, *, seed: int) -> Dataset:
    """List labelled pictures, give each a role, and digest their contents; nothing is decoded.

    Parameters
    ----------
    source : a folder ``class/picture``, or one with ``train/``, ``val/`` and ``test/`` above that, or a CSV with a
        path and a label column and optionally a role column, or shards: a folder of them, ``a-{000..099}.tar`` or
        ``a.tar::b.tar``.
    seed : of the roles that have to be drawn.

    Notes
    -----
    Where roles are given they are kept. ``train`` and ``val`` alone: ``val`` is the test set, and the images to
    select on are drawn from ``train``. None given: 70 % train, 15 % select, 15 % test, drawn by class.

    Raises
    ------
    InputError : it is missing or empty, has one class, or a class with too few pictures.
    """
    rows, layout, digested = _rows(source)
    if not rows:
        raise InputError(
            f"{source} has no pictures in class folders",
            hint=f"expected {source.name}/<class>/<picture>, or train/ val/ test/ above the classes",
        )
    classes = tuple(sorted({label for _, label, _ in rows}))
    if len(classes) < 2:
        raise InputError(
            f"{source} has one class only ({classes[0]!r}): there is nothing to tell apart",
            hint="add a second class folder",
        )
    root = source_root(source)
    index = {name: number for number, name in enumerate(classes)}
    contents = digested or {path: digest.of_file(root / path) for path, _, _ in rows}
    roles = split.assign([(path, index[label], role) for path, label, role in rows], contents, classes, seed)
    samples = tuple(
        Sample(path=path, label=index[label], role=roles[path], sha256=contents[path])
        for path, label, _ in rows
    )
    empty = tuple(_empty(source, classes)) if source.is_dir() and not digested else ()
    return Dataset(classes=classes, samples=samples, layout=layout, empty=empty)


def _rows(source: Path) -> tuple[list[Row], str, dict[str, str]]:
    """Path, class and given role of each picture, how they were found, and digests by path where those are known."""
    files = shards.named(source)
    if files is None:
        if not source.exists():
            raise InputError(
                f"no such data: {source}",
                hint="--data DIR with one folder a class, a CSV with path,label, or shards-{000..099}.tar",
            )
        rows, layout = _table(source) if source.is_file() else _folders(source)
        files = [] if rows or source.is_file() else shards.below(source)
        if not files:
            return rows, layout, {}
    found = shards.listed(files, source_root(source).absolute())
    rows = found.rows
    if any(role for _, _, role in rows) and not any(role == "test" for _, _, role in rows):
        rows = [(path, label, "test" if role == "select" else role) for path, label, role in rows]
    return rows, counted(len(files), "shard"), found.contents


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


def _column(header: Iterable[str], wanted: tuple[str, ...]) -> str | None:
    lower = {name.strip().lower(): name for name in header}
    return next((lower[name] for name in wanted if name in lower), None)


def _table(file: Path) -> tuple[list[Row], str]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            header = list(reader.fieldnames or [])
            body = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{file.name} is not a CSV in UTF-8: {error}",
            hint="a header line path,label and a line a picture",
        ) from error
    path_column, label_column = _column(header, PATH_COLUMNS), _column(header, LABEL_COLUMNS)
    role_column = _column(header, ROLE_COLUMNS)
    if path_column is None or label_column is None:
        raise InputError(
            f"{file.name} has the columns {', '.join(header) or 'none'}: a path and a label column are needed",
            hint="a first line path,label (and optionally role)",
        )
    rows: list[Row] = []
    for number, line in enumerate(body, start=2):
        path, label = (line[path_column] or "").strip(), (line[label_column] or "").strip()
        where = f"{file.name} line {number}"
        _checked_path(file.parent, path, where)
        if not label:
            raise InputError(
                f"{where}: {path} has no label", hint="give each picture a label, or drop the line"
            )
        rows.append((Path(path).as_posix(), label, _role(line.get(role_column or "") or "", where)))
    twice = [path for path, times in Counter(path for path, _, _ in rows).items() if times > 1]
    if twice:
        raise InputError(f"{file.name} lists {twice[0]} more than once", hint="one line a picture")
    if any(role for _, _, role in rows) and not any(role == "test" for _, _, role in rows):
        rows = [(path, label, "test" if role == "select" else role) for path, label, role in rows]
    return rows, f"table {file.name}"


def _role(text: str, where: str) -> Role | None:
    if not text.strip():
        return None
    role = ROLE_NAMES.get(text.strip().lower(), "select" if text.strip().lower() == "select" else None)
    if role is None:
        raise InputError(
            f"{where}: role {text!r} is not known", hint="train, val (or select), test, or empty"
        )
    return role


def _checked_path(root: Path, path: str, where: str) -> None:
    place = (root / path).resolve()
    if not path or Path(path).is_absolute() or root.resolve() not in place.parents:
        raise InputError(
            f"{where}: {path or 'an empty path'} leaves the table's folder",
            hint="paths are relative to the CSV",
        )
    if not place.is_file():
        raise InputError(f"{where}: {path} is not there", hint="check the path, or drop the line")
