"""Memory that GPU and CPU share, as on a Jetson: what a build may take of it, and whether it is there."""

from __future__ import annotations

from pathlib import Path

from edgetl.errors import EnvironmentLacks

__all__ = ["capped", "check", "power_mode"]

MIB = 1 << 20
WORKSPACE = "workspace:1024"
"""TensorRT's own limit is all of the memory, of which the system and the builder want a part."""
BUILDER = 1024 * MIB
"""What CUDA's context, the kernels and the network take beside the workspace: an estimate."""


def capped(pools: str) -> str:
    """The pools that were asked for, with a limit of the workspace where none was given.

    >>> capped("dlaSRAM:1"), capped("workspace:256")
    ('workspace:1024,dlaSRAM:1', 'workspace:256')
    """
    if "workspace:" in pools:
        return pools
    return f"{WORKSPACE},{pools}" if pools else WORKSPACE


def check(workspace: int, root: Path = Path("/")) -> None:
    """Refuse a build that would be killed for memory.

    Parameters
    ----------
    workspace : bytes that kernels may take while they are timed; swap is no place for those.
    root : where ``proc`` is.

    Raises
    ------
    EnvironmentLacks : less is free than it takes.
    """
    free, swap = _kib(root, "MemAvailable"), _kib(root, "SwapFree")
    if free is None:
        return
    if workspace > free or workspace + BUILDER > free + (swap or 0):
        raise EnvironmentLacks(
            f"a build with {workspace // MIB} MiB of workspace takes about {(workspace + BUILDER) // MIB} MiB, "
            f"this device has {free // MIB} MiB of memory and {(swap or 0) // MIB} MiB of swap free",
            hint="close other programs, add swap, or --backend-option memPoolSize=workspace:256",
            free_mib=free // MIB,
        )


def power_mode(root: Path = Path("/")) -> str:
    """What ``nvpmodel`` was last set to on a Jetson, as its status file says; empty elsewhere."""
    try:
        return (root / "var/lib/nvpmodel/status").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _kib(root: Path, field: str) -> int | None:
    """A field of ``/proc/meminfo``, in bytes."""
    try:
        lines = (root / "proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    return None
