"""Options of a training, a panel of the help: the method, its teacher, its steps, and what it is held against."""

from __future__ import annotations

from typing import Annotated

import typer

from edgetl.transfer.methods.known import METHODS, menu

__all__ = [
    "BatchSize",
    "Compare",
    "Epochs",
    "Flip",
    "KdTemperature",
    "LearningRate",
    "Method",
    "Rank",
    "Seeds",
    "Teacher",
    "TeacherWeights",
]

TRAINING = "Training"
Method = Annotated[
    str,
    typer.Option(
        "--method",
        metavar="|".join(METHODS),
        help=f"How the model is transferred: {menu()}.",
        rich_help_panel=TRAINING,
    ),
]
Rank = Annotated[
    int,
    typer.Option(
        "--rank", min=1, metavar="N", help="Rank of the updates of --method lora.", rich_help_panel=TRAINING
    ),
]
Epochs = Annotated[
    int,
    typer.Option(
        "--epochs",
        min=1,
        metavar="N",
        help="Most epochs of a training; --method feature has none.",
        rich_help_panel=TRAINING,
    ),
]
BatchSize = Annotated[
    int,
    typer.Option(
        "--batch-size", min=1, metavar="N", help="Images a training step.", rich_help_panel=TRAINING
    ),
]
LearningRate = Annotated[
    float | None,
    typer.Option(
        "--lr",
        metavar="RATE",
        help="Learning rate of the head; --method feature has none (default: the method's own).",
        rich_help_panel=TRAINING,
    ),
]
Flip = Annotated[
    bool,
    typer.Option(
        "--flip/--no-flip",
        help="Mirror half of the pictures of a training left-right.",
        rich_help_panel=TRAINING,
    ),
]
Teacher = Annotated[
    str | None,
    typer.Option(
        "--teacher",
        metavar="NAME|BUNDLE|CHECKPOINT",
        help="What --method distill and rkd learn from: a model, whose head is fitted on frozen features of the data, "
        "or a folder that edgetl wrote (default: the same model, all weights trained first).",
        rich_help_panel=TRAINING,
    ),
]
TeacherWeights = Annotated[
    str,
    typer.Option(
        "--teacher-weights",
        metavar="DEFAULT|FILE",
        help="Pretrained weights of a --teacher that is a model's name.",
        rich_help_panel=TRAINING,
    ),
]
KdTemperature = Annotated[
    float | None,
    typer.Option(
        "--kd-temperature",
        metavar="T",
        help="What --method distill and rkd divide logits by before they compare them (default: 4).",
        rich_help_panel=TRAINING,
    ),
]
Seeds = Annotated[
    int,
    typer.Option(
        "--seeds",
        min=1,
        metavar="N",
        help="Train from N seeds, tell the spread, and ship the one that is best on the select images.",
        rich_help_panel=TRAINING,
    ),
]
Compare = Annotated[
    str | None,
    typer.Option(
        "--compare",
        metavar="scratch",
        help="Also train from random weights and on frozen features, and tell what the transfer brought.",
        rich_help_panel=TRAINING,
    ),
]
