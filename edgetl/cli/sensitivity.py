"""The command that says which layers INT8 costs most in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgetl.cli import options, progress
from edgetl.cli.answer import give
from edgetl.home import cache_folder

__all__ = ["register"]


def sensitivity(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle folder, or a .tar file.")],
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DIR|CSV|demo",
            help="Pictures to measure with; labels are not needed (default: those that the bundle carries).",
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", min=1, metavar="N", help="Pictures to calibrate and measure with.")
    ] = 100,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE.svg", help="Draw every layer's share of the noise."),
    ] = None,
    devices: options.DevicesFile = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Quantize each layer alone, run it on the engine, and list the layers by the noise that INT8 brings."""
    from edgetl import blame

    found = blame.sensitivity(
        bundle,
        data=data,
        samples=samples,
        seed=seed,
        devices_file=devices,
        picture=picture,
        cache=cache_folder(),
        progress=progress.sink(quiet=quiet or as_json),
    )
    give(found, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Put the command on the application."""
    app.command("sensitivity", rich_help_panel="Engine")(sensitivity)
