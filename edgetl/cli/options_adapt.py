"""Options of adapting to another place."""

from __future__ import annotations

from typing import Annotated

import typer

from edgetl.words import ADAPTATIONS

__all__ = ["Adapt", "AdaptMethod"]

Adapt = Annotated[
    str | None,
    typer.Option(
        "--adapt",
        metavar="DIR",
        help="Frames of the place that the engine is for; no labels needed, those in class folders only tell the gain.",
    ),
]
AdaptMethod = Annotated[
    str,
    typer.Option(
        "--adapt-method",
        metavar="|".join(ADAPTATIONS),
        help="adabn takes the statistics of BatchNorm from the frames; tent then sharpens its scales; coral and dann "
        "train the body on.",
    ),
]
