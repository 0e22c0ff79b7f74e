"""Small files of the kernel, read as they are: ``None`` where one is not there or says something else."""

from __future__ import annotations

from pathlib import Path

__all__ = ["number", "text", "whole"]


def text(path: Path) -> str | None:
    """What a file says, without blanks and zeros around it; ``None`` where it cannot be read or is empty."""
    try:
        return path.read_text(errors="replace").strip("\0 \n") or None
    except OSError:
        return None


def number(path: Path) -> float | None:
    """The number in a file."""
    try:
        return float(text(path) or "")
    except ValueError:
        return None


def whole(path: Path) -> int | None:
    """The whole number in a file; exact, for counters that outgrow a float."""
    try:
        return int(text(path) or "")
    except ValueError:
        return None
