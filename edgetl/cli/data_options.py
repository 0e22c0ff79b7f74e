"""Options on labelled data: how it is read, and what is made of it."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["GroupBy", "LabelColumn", "PathColumn", "RoleColumn"]

PathColumn = Annotated[
    str | None,
    typer.Option(
        "--path-column",
        metavar="NAME",
        help="Column of a CSV with the pictures' paths, relative to it (default: path, file, filename or image).",
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        "--label-column",
        metavar="NAME",
        help="Column of a CSV with the classes (default: label or class).",
    ),
]
RoleColumn = Annotated[
    str | None,
    typer.Option(
        "--role-column",
        metavar="NAME",
        help="Column of a CSV with train, val or test (default: role, split or set; without one they are drawn).",
    ),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="COLUMN|regex:PATTERN",
        help="Pictures that share this stay in one role: a CSV's column, or what a pattern's one group finds in each "
        "path, such as 'regex:(patient\\d+)_'.",
    ),
]
