"""Files to the device and back: rsync compares by checksum, and goes on in the middle of a file after a cut."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from edgetl.errors import EnvironmentLacks
from edgetl.remote.ssh import Link, LinkDown, refusal

__all__ = ["pull", "push"]

OPTIONS = ("--recursive", "--checksum", "--partial", "--links", "--perms", "--times", "--timeout=30")
NO_SPACE = "No space left on device"
CUT = (10, 12, 30, 35, 255)
"""rsync's exit codes where the connection went away: socket, protocol stream, two time-outs, and ssh's own."""


def push(link: Link, folder: Path, place: str) -> None:
    """Make a folder of the device hold what a local one holds.

    Raises
    ------
    LinkDown : the connection went away; what arrived is used the next time.
    EnvironmentLacks : the disk of the device is full, or rsync is missing.
    """
    _rsync(link, "--delete", f"{folder}/", f"{link.host}:{place}/")


def pull(link: Link, place: str, folder: Path, *, leave: tuple[str, ...] = ()) -> None:
    """Bring a folder of the device here.

    Parameters
    ----------
    leave : names that stay there.

    Raises
    ------
    LinkDown : the connection went away. EnvironmentLacks : a disk is full, or rsync is missing.
    """
    _rsync(link, *(f"--exclude={name}" for name in leave), f"{link.host}:{place}/", f"{folder}/")


def _rsync(link: Link, *arguments: str) -> None:
    if shutil.which("rsync") is None:
        raise EnvironmentLacks("this host has no rsync", hint="apt install rsync")
    link.open()
    command = ["rsync", *OPTIONS, "-e", " ".join(link.ssh), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, start_new_session=True
    )
    if done.returncode == 0:
        return
    refused = refusal(link.host, done.stderr)
    if refused is not None:
        raise refused
    if NO_SPACE in done.stderr:
        raise EnvironmentLacks(
            f"no space left on {link.host} or here for what is sent and brought back",
            hint=f"ssh {link.host} df -h ; ~/.edgetl there may be removed",
        )
    words = (done.stderr.strip().splitlines() or ["it said nothing"])[0]
    if done.returncode in CUT:
        raise LinkDown(words)
    raise EnvironmentLacks(f"rsync with {link.host} ended with {done.returncode}: {words}", hint="--debug")
