"""The command that draws a device's latency from build to build."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgetl.cli import options
from edgetl.cli.answer import give

__all__ = ["register"]

_HELP = """
List the latency of every build below a folder by time, and where it changed for good.

\b
  edgetl history runs
  edgetl history runs/latest --save results     (results/ can be committed: a few kB a build)
  edgetl history results --picture history.svg
"""


def history(
    places: Annotated[
        list[Path],
        typer.Argument(metavar="DIR|BUNDLE...", help="Bundles, results kept by --save, or folders of them."),
    ],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Only bundles of this name (default: all).")
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save",
            metavar="DIR",
            help="Keep each result there as a small JSON file, and list all that is there.",
        ),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE.svg", help="Draw it: of one name and device.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    from edgetl import past

    found = past.history(places, name=name, save=save, picture=picture)
    give(found, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Put the command on the application."""
    app.command("history", help=_HELP, rich_help_panel="Measure")(history)
