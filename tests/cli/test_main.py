"""What every command shares: help on one screen, one line an error, one code a kind of failure."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from edgetl import bundles, errors
from edgetl.bundles import Answer
from edgetl.cli import grouped, main
from edgetl.errors import EdgetlError
from tests.cli.conftest import Run

SCREEN = (80, 36)
"""Columns and rows."""

CODES = [
    (errors.GateFailed, 1),
    (errors.InputError, 2),
    (errors.BundleError, 2),
    (errors.Inconclusive, 3),
    (errors.NotComparable, 4),
    (errors.EnvironmentLacks, 5),
    (errors.BackendError, 5),
    (errors.Cancelled, 130),
    (errors.EdgetlError, 70),
]


def fails(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make ``edgetl inspect`` raise."""

    def raising(*_: Any, **__: Any) -> Answer:
        raise error

    monkeypatch.setattr(bundles, "inspect", raising)


def child(*arguments: str, **more: Any) -> subprocess.Popen[str]:
    """The command line as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "edgetl", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        **more,
    )


def test_help_fits_one_screen_and_lists_every_command_in_a_group(run: Run) -> None:
    told = run("--help")
    lines = told.out.splitlines()
    assert told.code == 0
    assert max(map(len, lines)) <= SCREEN[0]
    assert len(lines) <= SCREEN[1]
    assert list(grouped.GROUPS) == ["main", "data", "model", "engine", "device", "measure"]
    listed = [name for commands in grouped.GROUPS.values() for name in commands]
    registered = [command.name for command in main.app.registered_commands]
    assert sorted(listed) == sorted(map(str, registered))
    for example in ("edgetl build --", "edgetl predict runs/latest", "edgetl gate runs/latest"):
        assert example in told.out


def test_nothing_asked_for_is_answered_with_the_help(run: Run) -> None:
    told = run()
    assert told.code == 2
    assert told.out.startswith("Usage: edgetl")
    assert "error" not in told.err


@pytest.mark.parametrize("command", [name for commands in grouped.GROUPS.values() for name in commands])
def test_every_option_says_what_it_is_for(run: Run, command: str) -> None:
    told = run(command, "--help")
    assert told.code == 0
    group: Any = typer.main.get_command(main.app)
    for option in group.commands[command].params:
        assert option.help, f"{command} {option.name} has no help"
        if option.opts[0].startswith("-"):
            takes_a_value = not option.is_flag
            assert not takes_a_value or option.metavar, f"{command} {option.name} has no unit"


@pytest.mark.parametrize("command", ["build", "train"])
def test_options_of_the_training_have_a_panel_of_their_own(run: Run, command: str) -> None:
    """Every option stands in the help once."""
    usual, _, panel = run(command, "--help").out.partition("\nTraining:\n")
    for option in ("--method", "--teacher", "--kd-temperature", "--seeds", "--epochs"):
        assert f"  {option} " in panel and f"  {option} " not in usual
    assert "--data " in usual and "--data " not in panel


def test_a_default_is_told_beside_its_option(run: Run) -> None:
    told = " ".join(run("bench", "--help").out.split())
    assert "--duration SECONDS Least time to measure each figure for. [default: 3.0; x>=0.1]" in told


@pytest.mark.parametrize(("kind", "code"), CODES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_each_kind_of_failure_has_its_exit_code(
    run: Run, monkeypatch: pytest.MonkeyPatch, kind: type[EdgetlError], code: int
) -> None:
    fails(monkeypatch, kind("what was found", hint="what mends it"))
    told = run("inspect", "x")
    assert told.code == code
    assert told.err == "error: what was found\n       what mends it\n"
    assert told.out == ""


def test_the_table_of_codes_is_whole() -> None:
    kinds = {
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, EdgetlError)
    }
    assert kinds == {kind for kind, _ in CODES}


def test_an_error_under_json_is_json_with_its_facts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, errors.GateFailed("over", hint="less", drop_pt=2.4, file=Path("x")))
    told = run("inspect", "x", "--json")
    assert told.code == 1
    assert json.loads(told.out) == {
        "error": {
            "code": 1,
            "class": "GateFailed",
            "problem": "over",
            "hint": "less",
            "facts": {"drop_pt": 2.4, "file": "x"},
        }
    }


def test_a_bug_of_ours_is_70_with_a_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, ZeroDivisionError("oops"))
    told = run("inspect", "x")
    assert told.code == 70
    assert "Traceback" in told.err
    assert "please report it" in told.err


@pytest.mark.parametrize("place", [0, 1, 2])
def test_debug_shows_the_traceback_wherever_it_stands(
    run: Run, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    fails(monkeypatch, errors.InputError("bad"))
    arguments = ["inspect", "x"]
    assert "Traceback" not in run(*arguments).err
    arguments.insert(place, "--debug")
    told = run(*arguments)
    assert told.code == 2
    assert "Traceback" in told.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["buidl"], "Did you mean 'build'?"),
        (["build", "--dta", "x"], "edgetl build has no option '--dta'. Did you mean '--data'?"),
        (["predict", "--topk", "3", "x"], "Did you mean '--top-k'?"),
        (["inspect"], "Missing argument 'BUNDLE'"),
        (["bench", "x", "--duration", "long"], "'--duration'"),
        (["bench", "x", "--duration", "0"], "0.1"),
        (["build", "--data", "x", "--max-drop", "lots"], "--max-drop 'lots' is not a budget"),
        (["build", "--data", "x", "--crop", "2"], "--crop '2' is not a fraction"),
        (["build", "--data", "x", "--mean", "1,2"], "--mean '1,2' is not three numbers"),
        (["bench", "x.onnx", "--device", "jetson-orin-nanno"], "Did you mean 'jetson-orin-nano'?"),
    ],
)
def test_bad_usage_is_one_line_with_the_nearest_name(run: Run, arguments: list[str], words: str) -> None:
    told = run(*arguments)
    assert told.code == 2
    assert words in told.err
    assert told.err.startswith("error: ")
    assert len(told.err.splitlines()) <= 2


def test_bad_usage_under_json_is_json(run: Run) -> None:
    told = run("build", "--dta", "x", "--json")
    assert told.code == 2
    assert json.loads(told.out)["error"]["class"] == "InputError"
    assert told.err == ""


def test_the_version_is_the_distributions(run: Run) -> None:
    from importlib.metadata import version

    assert run("--version").out == f"edgetl {version('edgetl')}\n"


@pytest.mark.parametrize(("signum", "name"), [(signal.SIGINT, "SIGINT"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_ends_with_130_and_no_traceback(tmp_path: Path, signum: int, name: str) -> None:
    """The child says when it is inside a command, so that nothing depends on how fast it starts."""
    program = (
        "import sys, time\n"
        "from edgetl.cli import main\n"
        "from edgetl import bundles\n"
        "def slow(*_, **__):\n"
        "    print('inside', flush=True)\n"
        "    time.sleep(60)\n"
        "bundles.inspect = slow\n"
        "sys.argv = ['edgetl', 'inspect', 'x']\n"
        "main.run()\n"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.default_int_handler
        ),  # a shell's "&" ignores it
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "inside\n"
    running.send_signal(signum)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, name
    assert "error: interrupted" in said
    assert "Traceback" not in said


def test_a_reader_that_leaves_is_no_bug_and_no_yes() -> None:
    """More is printed than a pipe holds, and nobody reads it."""
    program = (
        "import sys\n"
        "from edgetl.cli import main\n"
        "from edgetl import bundles\n"
        "bundles.inspect = lambda *_, **__: bundles.Answer({}, ['x' * 100] * 100_000)\n"
        "sys.argv = ['edgetl', 'inspect', 'x']\n"
        "main.run()\n"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    assert running.stdout.readline()
    running.stdout.close()
    assert running.stderr is not None
    said = running.stderr.read()
    assert running.wait(timeout=60) == 128 + signal.SIGPIPE
    assert said == ""
    running.stderr.close()


@pytest.mark.parametrize(
    ("words", "position", "answer"),
    [("edgetl bu", "1", "build"), ("edgetl build --max-d", "2", "--max-drop")],
)
def test_the_shell_completes_commands_and_options(words: str, position: str, answer: str) -> None:
    asked = {**os.environ, "COMP_WORDS": words, "COMP_CWORD": position, "_EDGETL_COMPLETE": "complete_bash"}
    said, _ = child(env=asked).communicate(timeout=60)
    assert said.split() == [answer]


def test_the_completion_script_can_be_shown() -> None:
    """Asked for by name, not by ``--show-completion``: that one looks for the shell that started the tests."""
    said, _ = child(env={**os.environ, "_EDGETL_COMPLETE": "source_bash"}).communicate(timeout=60)
    assert "_EDGETL_COMPLETE=complete_bash" in said
