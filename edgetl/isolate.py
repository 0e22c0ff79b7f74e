"""Run one function in a fresh process.

Some results depend on what a process did before (OpenVINO's writer is byte-stable only as the first thing a
process does; the speed of an engine depends on where memory was placed), so those run in a child that does
nothing else. Arguments and result are JSON; the function is named, never pickled.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
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
    on_tick : called with (done, total) each time the child calls ``isolate.tick``.

    Raises
    ------
    EdgetlError : the class that the child raised, with its problem, hint and facts.
    BackendError : the child died without a word of its own (a signal, an import error).
    """
    said = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 (a file, for a full pipe would stop the child)
    child = subprocess.Popen(
        [sys.executable, "-m", "edgetl.isolate", function],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
        text=True,
        env={**os.environ, **(env or {})},  # noqa: TID251 (a child inherits; nothing is read)
    )
    answer = None
    try:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(json.dumps(arguments))
        child.stdin.close()
        for line in child.stdout:
            if line.startswith(_TICK) and on_tick is not None:
                done, total = line[len(_TICK) :].split()
                on_tick(int(done), int(total))
            elif line.startswith(_MARK):
                answer = json.loads(line[len(_MARK) :])
        code = child.wait()
        said.seek(0)
        words = said.read()
    except BaseException:
        child.kill()
        child.wait()
        raise
    finally:
        said.close()
    if answer is None:
        last = words.strip().splitlines()[-1] if words.strip() else "it said nothing"
        raise BackendError(
            f"{function} ended with code {code}: {last}", hint="--debug shows all it said", vendor=words
        )
    if "error" in answer:
        told = answer["error"]
        kind = getattr(errors, told["class"], EdgetlError)
        raise kind(told["problem"], hint=told["hint"], **told["facts"])
    return answer["result"]


def tick(done: int, total: int) -> None:
    """Tell the parent how far this child is."""
    sys.__stdout__.write(f"{_TICK}{done} {total}\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]


def _main(function: str) -> None:
    module, _, name = function.partition(":")
    arguments = json.load(sys.stdin)
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
    sys.__stdout__.write(f"\n{_MARK}{json.dumps(answer)}\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]


if __name__ == "__main__":
    _main(sys.argv[1])
