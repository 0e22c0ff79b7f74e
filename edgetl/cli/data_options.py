"""Options on labelled data: how it is read, and what is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # what the command line imports, every command waits for
    from edgetl.types import Reading

__all__ = [
    "Augment",
    "GroupBy",
    "Imbalance",
    "LabelColumn",
    "Optimize",
    "PathColumn",
    "Positive",
    "RoleColumn",
    "label_columns",
    "reading",
]

PathColumn = Annotated[
    str | None,
    typer.Option(
        "--path-column",
        metavar="NAME",
        help="Column of a CSV with the pictures' paths, relative to it (default: path, file, filename or image).",
    ),
]
LabelColumn = Annotated[
    list[str] | None,
    typer.Option(
        "--label-column",
        metavar="NAME[:value|:classes]",
        help="Column of a CSV with the classes (default: label or class); NAME:value predicts its number. Repeated, "
        "each column is an output of the one engine.",
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
Augment = Annotated[
    str,
    typer.Option(
        "--augment",
        metavar="none|light|default|strong",
        help="How pictures are varied in training: light cuts and mirrors, default also moves colours, strong is "
        "RandAugment, erasing, mixup and cutmix.",
    ),
]
Imbalance = Annotated[
    str,
    typer.Option(
        "--imbalance",
        metavar="auto|weights|sampling|none",
        help="What training does about classes of unequal size: weights in the loss, or as many pictures of each; auto "
        "weighs from 3 to 1 on.",
    ),
]
Optimize = Annotated[
    str | None,
    typer.Option(
        "--optimize",
        metavar="recall@R|precision@P|f1|balanced-accuracy",
        help="Of two classes: choose the decision threshold on the select images, by the engine that ships, and carry "
        "it in the bundle (default: the likelier class).",
    ),
]
Positive = Annotated[
    str | None,
    typer.Option(
        "--positive",
        metavar="CLASS",
        help="The class that --optimize is about (default: the one with fewer pictures to train on).",
    ),
]


def label_columns(given: list[str] | None) -> str | tuple[str, ...] | None:
    """One column as its name, several as a tuple of them."""
    return given[0] if given and len(given) == 1 else tuple(given) if given else None


def reading(
    path_column: str | None, label_column: list[str] | None, role_column: str | None, group_by: str | None
) -> Reading:
    """How labelled data is read, as these options say."""
    from edgetl.types import Reading

    columns = label_columns(label_column)
    return Reading(path_column=path_column, label_column=columns, role_column=role_column, group_by=group_by)
