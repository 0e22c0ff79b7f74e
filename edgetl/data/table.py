"""A table of labelled pictures: which column says what, and its lines as rows."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgetl.data import columns, grouping
from edgetl.data.columns import Answered
from edgetl.data.split import ROLE_NAMES, Row
from edgetl.errors import InputError, did_you_mean
from edgetl.types import Reading, Role

__all__ = ["Told", "read"]

PATH_COLUMNS = ("path", "file", "filename", "image")
LABEL_COLUMNS = ("label", "class")
ROLE_COLUMNS = ("role", "split", "set")
IDENTITY = re.compile(
    r"(patient|subject|person|donor|case|study|lesion|nodule|eye|slide|plate|well|specimen|scene|drive|sequence|"
    r"session|video|camera|vehicle|animal|plant|tree)([ _-]?(id|nr|no|number))?",
    re.IGNORECASE,
)
"""Names of columns that say what is pictured: pictures that share it are not independent."""


@dataclass(frozen=True)
class Told:
    """What a source says besides paths, labels and roles.

    Attributes
    ----------
    groups : value of the column that pictures are grouped by, by path.
    shared_ids : columns that look like an identity that several pictures share, and are not grouped by.
    contents : sha256 by path, where the pictures were read to find them.
    answered : what the label columns say, where they are not one of classes; the rows then have no labels.
    """

    groups: dict[str, str] = field(default_factory=dict)
    shared_ids: tuple[str, ...] = ()
    contents: dict[str, str] = field(default_factory=dict)
    answered: Answered | None = None


def read(file: Path, reading: Reading) -> tuple[list[Row], Told]:
    """The pictures of a CSV file, and what else it says of them.

    Raises
    ------
    InputError : it is no CSV, lacks a column, a value or any line, or names a file that is not there or twice.
    """
    header, lines = _lines(file)
    path_column = _column(file, header, reading.path_column, PATH_COLUMNS, "path")
    labels = _label_columns(file, header, lines, reading.label_column)
    role_column = _column(file, header, reading.role_column, ROLE_COLUMNS, "role")
    by = reading.group_by if reading.group_by and not grouping.is_pattern(reading.group_by) else None
    group_column = None if by is None else _named(file, header, by, "--group-by")
    if path_column is None or not labels:
        raise InputError(
            f"{file.name} has the columns {', '.join(header) or 'none'}: a path and a label column are needed",
            hint="--path-column and --label-column name them; or a first line path,label (and optionally role)",
        )
    if not lines:
        raise InputError(f"{file.name} has no lines below its header", hint="a line a picture: path,label")
    plain = labels[0].name if len(labels) == 1 and labels[0].kind == "classes" else None
    rows: list[Row] = []
    groups: dict[str, str] = {}
    for number, line in enumerate(lines, start=2):
        path, label = _value(line, path_column), _value(line, plain)
        where = f"{file.name} line {number}"
        _check_path(file.parent, path, where)
        if plain and not label:
            raise InputError(
                f"{where}: {path} has no label", hint="give each picture a label, or drop the line"
            )
        rows.append((Path(path).as_posix(), label, _role(_value(line, role_column), where)))
        if group_column is not None:
            groups[Path(path).as_posix()] = _value(line, group_column)
    twice = [path for path, times in Counter(path for path, _, _ in rows).items() if times > 1]
    if twice:
        raise InputError(f"{file.name} lists {twice[0]} more than once", hint="one line a picture")
    if any(role for _, _, role in rows) and not any(role == "test" for _, _, role in rows):
        rows = [(path, label, "test" if role == "select" else role) for path, label, role in rows]
    used = (path_column, role_column, *(column.name for column in labels))
    shared = () if reading.group_by else _shared_ids(header, lines, used)
    if plain is not None:
        return rows, Told(groups, shared)
    cells = {column.name: [_value(line, column.name) for line in lines] for column in labels}
    answered = columns.answers_of(labels, cells, [path for path, _, _ in rows], file.name)
    return rows, Told(groups, shared, answered=answered)


Line = dict[str, str]


def _lines(file: Path) -> tuple[list[str], list[Line]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            header = list(reader.fieldnames or [])
            lines = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{file.name} is not a CSV in UTF-8: {error}",
            hint="a header line path,label and a line a picture",
        ) from error
    twice = next((name for name, times in Counter(header).items() if times > 1), None)
    if twice is not None:
        raise InputError(
            f"{file.name} has two columns {twice!r}: which one counts is not known", hint="rename or drop one"
        )
    long = next((number for number, line in enumerate(lines, start=2) if None in line), None)
    if long is not None:
        raise InputError(
            f"{file.name} line {long} has more cells than the {len(header)} columns of the first line",
            hint='a cell with a comma in it takes quotes: "cat, brown"',
        )
    return header, lines


def _value(line: Line, column: str | None) -> str:
    return (line.get(column or "") or "").strip()


def _column(
    file: Path, header: Sequence[str], wanted: str | None, usual: Sequence[str], what: str
) -> str | None:
    """The column that was asked for, else the first with a usual name, if any."""
    if wanted is not None:
        return _named(file, header, wanted, f"--{what}-column")
    lower = {name.strip().lower(): name for name in header}
    return next((lower[name] for name in usual if name in lower), None)


def _label_columns(
    file: Path, header: Sequence[str], lines: Sequence[Line], wanted: str | tuple[str, ...] | None
) -> list[columns.Column]:
    """The columns of labels that were asked for, else the first with a usual name, if any; each with its kind."""
    asked = [wanted] if isinstance(wanted, str) else list(wanted or ())
    told = [columns.asked(one, header) for one in asked]
    named = [(_named(file, header, name, "--label-column"), kind) for name, kind in told]
    if not named:
        usual = _column(file, header, None, LABEL_COLUMNS, "label")
        named = [] if usual is None else [(usual, None)]
    cells = {name: [_value(line, name) for line in lines] for name, _ in named}
    return columns.chosen(named, cells)


def _named(file: Path, header: Sequence[str], wanted: str, option: str) -> str:
    found = next((name for name in header if name.strip() == wanted), None)
    if found is None:
        raise InputError(
            f"{file.name} has no column {wanted!r}.{did_you_mean(wanted, header)}",
            hint=f"{option} with one of {', '.join(header) or 'none'}",
        )
    return found


def _shared_ids(header: Sequence[str], lines: Sequence[Line], used: Sequence[str | None]) -> tuple[str, ...]:
    """Columns named like an identity, with a value on several lines."""
    named = [name for name in header if name not in used and IDENTITY.fullmatch(name.strip())]
    return tuple(
        name.strip()
        for name in named
        if max(Counter(filter(None, (_value(line, name) for line in lines))).values(), default=0) > 1
    )


def _role(text: str, where: str) -> Role | None:
    if not text:
        return None
    role = ROLE_NAMES.get(text.lower(), "select" if text.lower() == "select" else None)
    if role is None:
        raise InputError(
            f"{where}: role {text!r} is not known", hint="train, val (or select), test, or empty"
        )
    return role


def _check_path(root: Path, path: str, where: str) -> None:
    within = os.path.normpath(path)  # by its words: a picture may be a link to where the data is kept
    if not path or "\0" in path or os.path.isabs(within) or within.split(os.sep)[0] in (os.curdir, os.pardir):
        raise InputError(
            f"{where}: {repr(path) if path else 'an empty path'} leaves the table's folder",
            hint="paths are relative to the CSV",
        )
    if not (root / path).is_file():
        raise InputError(f"{where}: {path} is not there", hint="check the path, or drop the line")
