"""Trainings that several processes do together: the leading one posts each, the others wait for it.

Only the leading process runs the stages of a build. What it posts in torchrun's store is the request that
``trainer.run_json`` takes, by number; an empty one says that no more will come.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import msgspec
import torch.distributed as dist

from edgetl.processes import Processes
from edgetl.transfer import trainer
from edgetl.transfer.distributed import connect

__all__ = ["dismiss", "follow_json", "lead_json"]

COUNTER = "trainings"
LOOK_EVERY = timedelta(seconds=60)


def lead_json(request: dict[str, Any], processes: dict[str, Any]) -> dict[str, Any]:
    """Post a training and take part in it; all arguments are JSON.

    Parameters
    ----------
    request : arguments of ``trainer.run_json``. processes : fields of this one's ``Processes``.
    """
    told = msgspec.convert(processes, Processes)
    number = _post(told, json.dumps(request))
    return trainer.run_json(**request, processes=processes, number=number)


def follow_json(processes: dict[str, Any], number: int) -> bool:
    """Wait for a training, counted from 1, and take part in it; whether there was one."""
    told = msgspec.convert(processes, Processes)
    request = _posted(told, number)
    if not request:
        return False
    trainer.run_json(**json.loads(request), processes=processes, number=number)
    return True


def dismiss(processes: Processes) -> None:
    """Say that no more trainings will come."""
    _post(processes, "")


def _post(processes: Processes, request: str) -> int:
    store = connect(processes)
    number: int = store.add(COUNTER, 1)
    store.set(_key(number), request)
    return number


def _posted(processes: Processes, number: int) -> bytes:
    """The request of that number, however long the stages before it take."""
    store, key = connect(processes), _key(number)
    while True:
        try:
            store.wait([key], LOOK_EVERY)
        except dist.DistStoreError as error:
            if "timeout" not in str(error).lower():
                raise
        else:
            found: bytes = store.get(key)
            return found


def _key(number: int) -> str:
    return f"training/{number}"
