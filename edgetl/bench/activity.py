"""Who had the processors: CPU time of this process and its children, of all others, and what the hypervisor took."""

from __future__ import annotations

import os
from pathlib import Path

from edgetl.bench import sysfs
from edgetl.types import Record

__all__ = ["Activity", "Shares", "between", "read"]

IDLE, WAITING, STOLEN = 3, 4, 7
"""Columns of ``/proc/stat`` (proc(5)); guest time is in user time already, so the columns from 8 on are left out."""
COLUMNS = 8


class Activity(Record, frozen=True, kw_only=True):
    """CPU seconds since the system and this process began, summed over the processors.

    What this process's children used counts as its ``own_s`` once they ended.
    """

    all_s: float
    busy_s: float
    stolen_s: float
    own_s: float


class Shares(Record, frozen=True, kw_only=True):
    """Shares of all processors between two moments, 0 to 1: ``others`` ran on them, the hypervisor ``stolen`` them."""

    others: float
    stolen: float


def read(root: Path = Path("/")) -> Activity | None:
    """The counters of this moment; ``None`` where the system has no ``/proc/stat``."""
    words = (sysfs.text(root / "proc/stat") or "").partition("\n")[0].split()
    if len(words) <= COLUMNS or words[0] != "cpu":
        return None
    ticks = [int(word) / os.sysconf("SC_CLK_TCK") for word in words[1 : COLUMNS + 1]]
    used = os.times()
    return Activity(
        all_s=sum(ticks),
        busy_s=sum(ticks) - ticks[IDLE] - ticks[WAITING] - ticks[STOLEN],
        stolen_s=ticks[STOLEN],
        own_s=used.user + used.system + used.children_user + used.children_system,
    )


def between(before: Activity | None, after: Activity | None) -> Shares | None:
    """What others had between two readings; ``None`` where one is missing or the counters did not move."""
    if before is None or after is None or after.all_s <= before.all_s:
        return None
    whole = after.all_s - before.all_s
    others = (after.busy_s - before.busy_s) - (after.own_s - before.own_s)
    return Shares(
        others=min(max(others / whole, 0.0), 1.0),
        stolen=min(max((after.stolen_s - before.stolen_s) / whole, 0.0), 1.0),
    )
