"""The command that writes a page over bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgetl.cli import options
from edgetl.cli.answer import give
from edgetl.home import cache_folder

__all__ = ["register"]

_HELP = """
Write one HTML file over a bundle, or over several side by side; it asks nothing of a network.

\b
  edgetl report runs/latest --data ./images --corruptions hard.json
  edgetl report runs/parts/20261101T080000Z runs/latest --out change.html
"""


def report(
    bundles: Annotated[
        list[Path], typer.Argument(metavar="BUNDLE...", help="Bundle folders, or .tar files.")
    ],
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DIR|CSV|demo",
            help="The pictures it was tested on: the worst are shown, small (default: they are named only).",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.html", help="Where to write it.")] = Path(
        "report.html"
    ),
    corruptions: Annotated[
        list[Path] | None,
        typer.Option(
            "--corruptions",
            metavar="FILE.json",
            help="What edgetl verify --corruptions --out wrote for a bundle; may be repeated (default: not shown).",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    from edgetl import reporting

    found = reporting.report(bundles, out=out, data=data, cache=cache_folder(), corruptions=corruptions or ())
    give(found, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Put the command on the application."""
    app.command("report", help=_HELP, rich_help_panel="Measure")(report)
