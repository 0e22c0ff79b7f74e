"""The command line: parse, call one function, render. One place maps errors to exit codes."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import traceback
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

import edgetl
from edgetl.cli import (
    advise,
    build,
    engine,
    env,
    gate,
    history,
    host,
    lint,
    model,
    report,
    sensitivity,
    trtexec,
    workers,
)
from edgetl.cli.answer import Told
from edgetl.cli.grouped import Grouped
from edgetl.errors import Cancelled, EdgetlError, EnvironmentLacks, InputError, did_you_mean

__all__ = ["app", "run"]

_EXAMPLES = """
From a folder of labelled pictures to a verified INT8 engine.

\b
  edgetl build --device intel-cpu --data ./images --max-drop 1%
  edgetl predict runs/latest photo.jpg
  edgetl gate runs/latest --baseline runs/parts/20261101T080000Z
"""

app = typer.Typer(
    name="edgetl",
    cls=Grouped,
    help=_EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
build.register(app)
model.register(app)
advise.register(app)
lint.register(app)
engine.register(app)
gate.register(app)
sensitivity.register(app)
host.register(app)
report.register(app)
history.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edgetl {edgetl.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback behind an error.")] = False,
) -> None:
    """Options before the command; ``--debug`` is taken off the line before it is parsed."""


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _tell(error: EdgetlError, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"error": error.as_data()}, ensure_ascii=False))
        return
    print(f"error: {error.problem}", file=sys.stderr)
    if error.hint:
        print(f"       {error.hint}", file=sys.stderr)


def _usage(error: Any, as_json: bool) -> int:
    """What the option parser refused, told like any other bad input; nothing asked for is answered with the help."""
    context = getattr(error, "ctx", None)
    if context is not None and type(error).__name__ == "NoArgsIsHelpError":
        print(context.get_help())
        return 2
    command = context.command_path if context is not None else "edgetl"
    problem = " ".join(str(error.format_message()).split())
    asked = getattr(error, "option_name", None)
    if asked is not None and context is not None and type(error).__name__ == "NoSuchOption":
        known = [name for option in context.command.params for name in option.opts if name.startswith("--")]
        problem = f"{command} has no option {asked!r}.{did_you_mean(asked, known)}"
        instead = trtexec.replacement(asked)
        if instead is not None:
            _tell(InputError(f"{command} has no option {asked!r}, which is trtexec's", hint=instead), as_json)
            return 2
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
        sys.stdout.flush()
        if code == Cancelled.exit_code:  # how some releases of typer answer an interrupt
            return _interrupted(as_json)
        return code if isinstance(code, int) else 0
    except Told as told_already:
        return told_already.code
    except EdgetlError as error:
        if debug:
            traceback.print_exc()
        _tell(error, as_json)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted(as_json)
    except SystemExit as ended:  # how the option parser's library answers a reader that left
        return _reader_left() if isinstance(ended.__context__, BrokenPipeError) else int(ended.code or 0)
    except BrokenPipeError:
        return _reader_left()
    except ModuleNotFoundError as error:
        return _missing(error, as_json)
    except OSError as error:  # what nobody expected of the disk: it is no bug, and has a place and a reason
        if debug:
            traceback.print_exc()
        place = f"{error.filename}: " if error.filename else ""
        told = EnvironmentLacks(
            f"{place}{error.strerror or error}", hint="check the path, its permissions and the space left"
        )
        _tell(told, as_json=as_json and error.errno not in (errno.ENOSPC, errno.EBADF))
        return told.exit_code
    except Exception as error:
        if hasattr(error, "format_message"):
            return _usage(error, as_json)
        return _bug(as_json)


def _missing(error: ModuleNotFoundError, as_json: bool) -> int:
    """A library of an extra that is not installed, such as onnx on a device that only runs engines."""
    from edgetl.report.host import extra_of

    library = (error.name or "").partition(".")[0]
    extra = extra_of(library)
    if extra is None:
        return _bug(as_json)
    told = EnvironmentLacks(
        f"this command takes {library}, which is not installed", hint=f"pip install 'edgetl[{extra}]'"
    )
    _tell(told, as_json)
    return told.exit_code


def _interrupted(as_json: bool) -> int:
    told = Cancelled(
        "interrupted", hint="what was whole is kept; a build that is started again goes on from it"
    )
    _tell(told, as_json)
    return told.exit_code


def _reader_left() -> int:
    """The reader went away (``| head``): what is still in the buffer goes nowhere, and the code is SIGPIPE's.

    Not 0: a verdict that nobody read to its end must not pass for a yes.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE


def run() -> NoReturn:
    """Entry point of the ``edgetl`` command."""
    signal.signal(signal.SIGTERM, _terminate)
    if sys.stdout is None:  # closed by the caller: what is printed goes nowhere
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    try:
        processes = env.processes()
    except EdgetlError as error:
        _tell(error, "--json" in sys.argv)
        sys.exit(error.exit_code)
    sys.exit(workers.run(processes, sys.argv[1:], main))
