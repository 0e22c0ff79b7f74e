"""What the terminal, its environment and whoever started this process want of the command line."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what the command line imports, every command waits for
    from edgetl.processes import Processes

__all__ = ["colour", "interactive", "processes"]


def interactive() -> bool:
    """Standard error is a terminal that a bar can move in."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") != "dumb" and "CI" not in os.environ


def colour() -> bool:
    """Colour is wanted: a terminal, and no ``NO_COLOR``."""
    return interactive() and not os.environ.get("NO_COLOR")


def processes() -> Processes | None:
    """This process's place among those that torchrun started; ``None`` where it started none, or one.

    Raises
    ------
    EnvironmentLacks : torchrun was told to keep no store, or is too old to.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("WORLD_SIZE", "1") == "1":
        return None
    from edgetl.errors import EnvironmentLacks
    from edgetl.processes import Processes

    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        raise EnvironmentLacks(
            "torchrun keeps no store for its processes to meet in",
            hint="unset TORCH_DISABLE_SHARE_RDZV_TCP_STORE",
        )
    return Processes(
        rank=int(os.environ["RANK"]),
        count=int(os.environ["WORLD_SIZE"]),
        local_rank=int(os.environ["LOCAL_RANK"]),
        local_count=int(os.environ["LOCAL_WORLD_SIZE"]),
        host=os.environ["MASTER_ADDR"],
        port=int(os.environ["MASTER_PORT"]),
        attempt=int(os.environ["TORCHELASTIC_RESTART_COUNT"]),
    )
