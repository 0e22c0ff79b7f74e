"""Processes that torchrun started: one runs the command and speaks, the others take part in its trainings."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from edgetl.cli import env

if TYPE_CHECKING:  # what the command line imports, every command waits for
    from edgetl.pipeline import Progress
    from edgetl.processes import Processes

__all__ = ["place", "run"]

TRAINING = ("build", "train")
"""Commands that may train; any other is run by one process, and the others have nothing to do."""
INTERRUPTED = 130


def run(processes: Processes | None, arguments: list[str], command: Callable[[list[str]], int]) -> int:
    """The exit code of this process.

    Parameters
    ----------
    command : runs a command line and gives its exit code.
    """
    if processes is None:
        return command(arguments)
    trains = _named(arguments) in TRAINING
    if processes.rank:
        return _follow(processes) if trains else 0
    code = command(arguments)
    if trains and code != INTERRUPTED:  # torchrun interrupts all of them
        from edgetl.stages import together

        together.dismiss(processes)
    return code


def place(method: str, progress: Progress) -> Processes | None:
    """This process's place among several, and a word to the user where the method is not for several."""
    processes = env.processes()
    if processes is not None and method == "feature":
        progress.note(
            f"--method feature has no training steps to share: one of the {processes.count} processes does it all"
        )
    return processes


def _named(arguments: Sequence[str]) -> str:
    return next((argument for argument in arguments if not argument.startswith("-")), "")


def _follow(processes: Processes) -> int:
    """Take part, and say nothing but what the leading process cannot know."""
    from edgetl.errors import EdgetlError
    from edgetl.stages import together

    try:
        together.follow(processes)
    except KeyboardInterrupt:
        return INTERRUPTED
    except EdgetlError as error:
        if not error.facts.get("lost"):
            print(f"error: process {processes.rank}: {error.problem}", file=sys.stderr)
        return error.exit_code
    return 0
