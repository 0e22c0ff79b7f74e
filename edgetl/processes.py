"""Which of several processes this is, where torchrun started them to train together."""

from __future__ import annotations

from edgetl.errors import InputError
from edgetl.types import Record

__all__ = ["LEAST", "Processes", "check_batch"]

LEAST = 2
"""Pictures of a batch that each process takes at least: batch norm has no variance of one."""


class Processes(Record, frozen=True, kw_only=True):
    """A place among the processes of one training.

    Attributes
    ----------
    rank : of this process, from 0; 0 runs the stages and tells of them. count : of all processes.
    local_rank, local_count : the same among those of this machine.
    host, port : of the store through which they find each other, which torchrun keeps.
    attempt : how often torchrun has started them again: what an earlier attempt left in the store is not read.
    """

    rank: int
    count: int
    local_rank: int
    local_count: int
    host: str
    port: int
    attempt: int = 0


def check_batch(size: int, processes: Processes | None) -> None:
    """Refuse a batch that leaves a process with too few pictures.

    Raises
    ------
    InputError : says how large it has to be.
    """
    if processes is not None and size < LEAST * processes.count:
        raise InputError(
            f"a step of {size} pictures leaves some of the {processes.count} processes with less than {LEAST}",
            hint=f"--batch-size {LEAST * processes.count} or more, with as many pictures to train on; "
            "or fewer processes",
        )
