"""The command that holds a quantized graph to the rules of its target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgetl.cli import options
from edgetl.cli.answer import give

__all__ = ["register"]


def lint(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="MODEL.onnx|BUNDLE", help="A quantized (Q/DQ) model, ours or anyone's."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "-t",
            metavar="tensorrt|tensorrt-dla|openvino",
            help="Whose rules (default, for a bundle: those of its own engine).",
        ),
    ] = None,
    show_rules: Annotated[
        bool, typer.Option("--rules", help="List the target's rules and end; takes no model.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 for warnings too.")] = False,
    as_json: options.Json = False,
) -> None:
    """Hold a quantized graph to its target's rules: node, rule, what mends it, source. Exit 1 on an error."""
    from edgetl import linter

    found = linter.list_rules(target) if show_rules else linter.lint(model, target, strict=strict)
    give(found, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Put the command on the application."""
    app.command("lint", rich_help_panel="Data and models")(lint)
