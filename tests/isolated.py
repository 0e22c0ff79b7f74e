"""What the tests of ``edgetl.isolate`` run in child processes."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from typing import Any

from edgetl import isolate
from edgetl.errors import GateFailed


def echo(**arguments: Any) -> dict[str, Any]:
    """Gives back what it got, among noise on both streams."""
    sys.stdout.write("a library says hello")
    sys.stderr.write("and warns of nothing\n")
    return {**arguments, "pid": os.getpid(), "variable": os.environ.get("EDGETL_TEST_VARIABLE")}


def shout(size: int) -> int:
    """Writes more than a pipe holds to both streams."""
    sys.stdout.write("x" * size + "\n")
    sys.stderr.write("y" * size)
    return size


def count(total: int) -> str:
    """Ticks, with half lines of a library between."""
    for done in range(1, total + 1):
        sys.stdout.write("half a line")
        sys.stdout.flush()
        isolate.tick(done, total)
    return "counted"


def refuse() -> None:
    """Raises an error of ours."""
    raise GateFailed("too slow", hint="be quick", limit_ms=3.5)


def fill_disk() -> None:
    """Raises what the system raises."""
    raise OSError(errno.ENOSPC, "No space left on device", "/somewhere/model.bin")


def crash() -> None:
    """An error that nobody thought of."""
    raise ZeroDivisionError("by zero")


def die(number: int) -> None:
    """Ends itself by a signal."""
    sys.stderr.buffer.write(b"last words \xff\n")
    sys.stderr.flush()
    os.kill(os.getpid(), number)
    signal.pause()


def linger(file: str) -> None:
    """Says where it is, then works for a long time."""
    with open(file, "w") as out:
        out.write(str(os.getpid()))
    isolate.tick(1, 100)
    time.sleep(600)
