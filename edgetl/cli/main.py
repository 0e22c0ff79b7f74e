"""The command line: parse, call one function, render. One place maps errors to exit codes."""

from __future__ import annotations

import json
import signal
import sys
import traceback
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

import edgetl
from edgetl.cli import build, engine, host, model
from edgetl.errors import EdgetlError

__all__ = ["app", "run"]

_EXAMPLES = """
From a folder of labelled pictures to a verified INT8 engine.

\b
  edgetl build --device intel-cpu --data ./images --max-drop 1%
  edgetl predict runs/latest photo.jpg
  edgetl verify runs/latest --data ./images
"""

app = typer.Typer(
    name="edgetl",
    help=_EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
build.register(app)
model.register(app)
engine.register(app)
host.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edgetl {edgetl.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Options before the command."""


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _tell(error: EdgetlError, as_json: bool) -> None:
    if as_json:
        body = {
            "code": error.exit_code,
            "class": type(error).__name__,
            "problem": error.problem,
            "hint": error.hint,
            "facts": json.loads(json.dumps(error.facts, default=str)),
        }
        print(json.dumps({"error": body}, ensure_ascii=False))
        return
    print(f"error: {error.problem}", file=sys.stderr)
    if error.hint:
        print(f"       {error.hint}", file=sys.stderr)


def _usage(error: Any, as_json: bool) -> int:
    """What the option parser refused, told like any other bad input."""
    problem = " ".join(str(error.format_message()).split())
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "edgetl"
    from edgetl.errors import InputError

    _tell(InputError(problem, hint=f"{command} --help   lists what there is"), as_json)
    return 2


def _bug(as_json: bool) -> int:
    traceback.print_exc()
    _tell(EdgetlError("this is a bug of edgetl", hint="please report it with the lines above"), as_json)
    return 70


def main(arguments: list[str]) -> int:
    """Run one command and give its exit code; nothing is raised."""
    as_json = "--json" in arguments
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    try:
        code = app(args=arguments, prog_name="edgetl", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except EdgetlError as error:
        if debug:
            traceback.print_exc()
        _tell(error, as_json)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        from edgetl.errors import Cancelled

        _tell(
            Cancelled("interrupted", hint="what was whole is kept: the same command goes on from there"),
            as_json,
        )
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader left (| head): nothing is wrong, and nobody is there to tell
        return 0
    except Exception as error:
        if hasattr(error, "format_message"):
            return _usage(error, as_json)
        return _bug(as_json)


def run() -> NoReturn:
    """Entry point of the ``edgetl`` command."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(main(sys.argv[1:]))
