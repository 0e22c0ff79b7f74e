"""What a device is, and what it lacks to finish a build: asked over SSH before anything is sent."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgetl.errors import EnvironmentLacks
from edgetl.remote import agent, wheel
from edgetl.remote.ssh import Link, LinkDown

__all__ = ["AGENT", "Found", "answer", "examine", "lines", "reach", "refuse"]

AGENT = Path(agent.__file__)
OLDEST = (3, 10)
GREETINGS = 5
ABSENT = ("refused", "timed out", "No route", "unreachable")
ROOM_MB = 500
"""An environment with numpy and the rest of the core, a bundle twice, and room to compile."""
PROBE = """
mkdir -p "$HOME/.edgetl/builds" || exit 4
echo "home=$HOME"
echo "rsync=$(command -v rsync)"
echo "python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)"
echo "free=$(df -Pk "$HOME" | tail -n 1 | awk '{print $4}')"
"""

Found = Mapping[str, Any]


def reach(link: Link) -> None:
    """Connect for the first time: a cut in the greeting is tried again, a host that is not there is told at once.

    Raises
    ------
    EnvironmentLacks : nobody answers, or the key or the host key is refused.
    """
    for left in reversed(range(GREETINGS)):
        try:
            link.open()
        except LinkDown as error:
            if left and not any(words in str(error) for words in ABSENT):
                continue
            raise EnvironmentLacks(
                f"cannot reach {link.host}: {error}", hint=f"ssh {link.host}   has to work", host=link.host
            ) from error
        return


def examine(link: Link) -> Found:
    """The device's home, Python, disk and libraries, and ``missing`` with the mend of each.

    Raises
    ------
    EnvironmentLacks : its home cannot be written. LinkDown : the connection went away.
    """
    told = link.run(PROBE)
    if told.code:
        words = told.err.strip() or f"it ended with {told.code}"
        raise EnvironmentLacks(
            f"{link.host} cannot make ~/.edgetl: {words}",
            hint="free some space there, or mend the permissions",
        )
    shell = dict(line.split("=", 1) for line in told.out.splitlines() if "=" in line)
    found: dict[str, Any] = {
        "host": link.host,
        "home": shell["home"],
        "rsync": bool(shell["rsync"]),
        "python": shell["python"] or None,
        "free_mb": int(shell["free"] or 0) // 1024,
    }
    if _is_new(found["python"]):
        found |= answer(link, found, "examine", *wheel.requirements())
    return {**found, "missing": _missing(found)}


def answer(link: Link, found: Found, *words: str) -> dict[str, Any]:
    """What the agent prints, run from standard input: it is not there yet.

    Raises
    ------
    EnvironmentLacks : it does not run there. LinkDown : the connection went away.
    """
    told = link.run(f"python3 - {shlex.join(words)}", stdin=AGENT.read_bytes())
    if told.code:
        last = (told.err.strip().splitlines() or ["it said nothing"])[-1]
        raise EnvironmentLacks(f"python3 on {link.host} fails: {last}", hint=f"ssh {link.host} python3 -V")
    parsed: dict[str, Any] = json.loads(told.out)
    return parsed


def _is_new(version: str | None) -> bool:
    return version is not None and tuple(map(int, version.split(".")[:2])) >= OLDEST


def _missing(found: Found) -> list[dict[str, str]]:
    """What has to be mended; ``fatal`` where nothing can be sent before it is."""
    rows = []

    def lacks(what: str, mend: str, *, fatal: bool = True) -> None:
        rows.append({"what": what, "mend": mend, "fatal": "yes" if fatal else ""})

    wanted = ".".join(map(str, OLDEST))
    if not _is_new(found["python"]):
        has = f"Python {found['python']}" if found["python"] else "no python3"
        lacks(f"{has}, edgetl takes {wanted} or newer", f"apt install python{wanted}, or JetPack 6 or newer")
    if not found["rsync"]:
        lacks("rsync", "apt install rsync")
    if found["free_mb"] < ROOM_MB:
        lacks(
            f"disk space: {found['free_mb']} MB free in its home, {ROOM_MB} MB wanted",
            "free some; ~/.edgetl there may be removed",
        )
    if found.get("lacking"):
        lacks(
            ", ".join(found["lacking"]),
            "a build installs them from the package index, or from --wheelhouse DIR where it is offline",
            fatal=False,
        )
        if not found["venv"]:
            lacks("what makes an environment", "apt install python3-venv")
    if not found.get("backends") and _is_new(found["python"]):
        names = ", ".join(agent.BACKENDS)
        lacks(
            f"a backend: none of {names}", "JetPack brings tensorrt; else pip install openvino", fatal=False
        )
    return rows


def refuse(found: Found, backend: str = "") -> None:
    """Stop before anything is sent where the device cannot do it.

    Parameters
    ----------
    backend : what is to compile there; one of another distribution than ours is not looked for.

    Raises
    ------
    EnvironmentLacks : names the first thing that it lacks.
    """
    for lack in found["missing"]:
        if lack["fatal"]:
            raise EnvironmentLacks(
                f"{found['host']} lacks {lack['what']}", hint=f"there: {lack['mend']}", host=found["host"]
            )
    if backend in agent.BACKENDS and backend not in found["backends"]:
        raise EnvironmentLacks(
            f"{found['host']} lacks {backend}, which the engine is built with: its python3 does not find it",
            hint="JetPack brings tensorrt; there: pip install openvino, or onnxruntime",
            host=found["host"],
        )


def lines(found: Found) -> list[str]:
    """The report on one device."""
    told = [
        f"  {found['host']}   {found.get('machine', '')} · Python {found['python'] or 'none'} · "
        f"{found['free_mb']} MB free · rsync {'yes' if found['rsync'] else 'no'}"
    ]
    told += [
        f"  {'':<12} {name} {version or ''}".rstrip() for name, version in found.get("backends", {}).items()
    ]
    for lack in found["missing"]:
        told += [f"  missing      {lack['what']}", f"               {lack['mend']}"]
    return told if found["missing"] else [*told, "  nothing is missing to finish a build there"]
