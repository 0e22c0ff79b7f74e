"""A training in child processes: of this process alone, or of several that torchrun started, each with a child."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from edgetl import isolate
from edgetl.errors import GateFailed
from edgetl.processes import Processes, check_batch
from edgetl.types import BuildSpec

__all__ = ["MALLOC", "check", "dismiss", "follow", "train"]

MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "268435456",
}
"""glibc gives large blocks back to the system after each use; training asks for the same ones every step."""


def check(spec: BuildSpec, processes: Processes | None) -> None:
    """Refuse batches that are too small for the processes.

    Raises
    ------
    InputError : says how large they have to be.
    """
    if spec.method not in ("auto", "feature"):  # auto knows by its pictures whether there are steps
        check_batch(spec.batch_size, processes)


def train(
    request: Mapping[str, Any], processes: Processes | None, *, on_tick: Callable[[int, int], None]
) -> Any:
    """Run a training, the leading process's where there are several; what ``trainer.run_json`` says of it.

    Parameters
    ----------
    request : arguments of ``trainer.run_json``.
    """
    if processes is None:
        return isolate.call("edgetl.transfer.trainer:run_json", request, env=MALLOC, on_tick=on_tick)
    arguments = {"request": dict(request), "processes": msgspec.to_builtins(processes)}
    return isolate.call("edgetl.transfer.together:lead_json", arguments, env=MALLOC, on_tick=on_tick)


def follow(processes: Processes) -> None:
    """Take part in every training that the leading process runs, until it says that no more will come.

    Raises
    ------
    EdgetlError : what ended a training, but for an answer no. EnvironmentLacks with ``lost``: another process did.
    """
    number = 1
    while _took_part(processes, number):
        number += 1


def _took_part(processes: Processes, number: int) -> bool:
    """Whether there was a training of that number.

    One that diverged did so in all processes: the leading one says it, or goes on without (``--method auto``).
    """
    arguments = {"processes": msgspec.to_builtins(processes), "number": number}
    try:
        found: bool = isolate.call("edgetl.transfer.together:follow_json", arguments, env=MALLOC)
    except GateFailed:
        return True
    return found


def dismiss(processes: Processes) -> None:
    """Let the others go, as the leading process."""
    from edgetl.transfer import together

    together.dismiss(processes)
