"""Run one function in a fresh process.

Some results depend on what a process did before (OpenVINO's writer is byte-stable only as the first thing a
process does; the speed of an engine depends on where memory was placed), so those run in a child that does
nothing else. Arguments and result are JSON; the function is named, never pickled.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from edgetl import errors
from edgetl.errors import BackendError, EdgetlError

__all__ = ["call", "tick"]

_MARK = "\x1eedgetl-result "
_TICK = "\x1eedgetl-tick "


def call(
    function: str,
    arguments: Mapping[str, Any],
    *,
    env: Mapping[str, str] | None = None,
    on_tick: Callable[[int, int], None] | None = None,
) -> Any:
    """The JSON result of ``function(**arguments)``, run in a new Python process.

    Parameters
    ----------
    function : ``package.module:name``.
    arguments : JSON data.
    env : variables set for the child on top of this process's.
    on_tick : called with (done, total) each time the child calls ``isolate.tick``; may raise to stop the child.

    Raises
    ------
    EdgetlError : the class that the child raised, with its problem, hint and facts.
    OSError : the child's own, such as a full disk, with its number.
    BackendError : the child died without a word of its own (a signal, an import error).
    """
    with tempfile.TemporaryFile(
        mode="w+", errors="replace"
    ) as said:  # a file: a full pipe would stop the child
        with subprocess.Popen(
            [sys.executable, "-m", "edgetl.isolate", function],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            errors="replace",
            env={**os.environ, **(env or {})},  # noqa: TID251 (a child inherits; nothing is read)
        ) as child:
            try:
                assert child.stdin is not None and child.stdout is not None
                with contextlib.suppress(BrokenPipeError):  # it died at once: its last words say why
                    child.stdin.write(json.dumps(arguments))
                with contextlib.suppress(BrokenPipeError):
                    child.stdin.close()
                answer = _listen(child.stdout, on_tick)
                code = child.wait()
            except BaseException:
                child.kill()
                raise
        said.seek(0)
        words = said.read()
    if answer is None:
        raise _died(function, code, words)
    return _result(answer)


def _listen(lines: Iterable[str], on_tick: Callable[[int, int], None] | None) -> Any:
    """The child's answer, or ``None`` where it ended without one; what libraries print is passed over."""
    answer = None
    for line in lines:
        if line.startswith(_TICK) and on_tick is not None:
            done, total = line[len(_TICK) :].split()
            on_tick(int(done), int(total))
        elif line.startswith(_MARK):
            answer = json.loads(line[len(_MARK) :])
    return answer


def _died(function: str, code: int, words: str) -> BackendError:
    last = f": {words.strip().splitlines()[-1]}" if words.strip() else ""
    how = f"ended with code {code}"
    if code < 0:
        with contextlib.suppress(ValueError):  # a real-time signal has no name
            how = f"was ended by {signal.Signals(-code).name}"
    mend = (
        "the system ends what takes too much memory: close other programs; in a build, a smaller --imgsz"
        if code == -signal.SIGKILL
        else "--debug shows all it said"
    )
    return BackendError(f"the process of {function} {how}{last}", hint=mend, vendor=words)


def _result(answer: Mapping[str, Any]) -> Any:
    if "system" in answer:
        raise OSError(*answer["system"])
    if "error" in answer:
        told = answer["error"]
        kind = getattr(errors, told["class"], EdgetlError)
        raise kind(told["problem"], hint=told["hint"], **told["facts"])
    return answer["result"]


def tick(done: int, total: int) -> None:
    """Tell the parent how far this child is."""
    _say(f"{_TICK}{done} {total}")


def _say(line: str) -> None:
    """A line of its own, whatever a library left unfinished before it."""
    assert sys.__stdout__ is not None
    sys.__stdout__.write(f"\n{line}\n")
    sys.__stdout__.flush()


def _main(function: str) -> None:
    module, _, name = function.partition(":")
    arguments = json.load(sys.stdin)
    answer: dict[str, Any]
    try:
        answer = {"result": getattr(importlib.import_module(module), name)(**arguments)}
    except EdgetlError as error:
        answer = {
            "error": {
                "class": type(error).__name__,
                "problem": error.problem,
                "hint": error.hint,
                "facts": json.loads(json.dumps(error.facts, default=str)),
            }
        }
    except OSError as error:
        if error.errno is None:
            raise
        name_of = None if error.filename is None else str(error.filename)
        answer = {"system": [error.errno, error.strerror, name_of]}
    _say(f"{_MARK}{json.dumps(answer)}")


if __name__ == "__main__":
    _main(sys.argv[1])
