"""Canonical JSON and sha256: nothing else in the package hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["canonical_json", "of_bytes", "of_file", "of_json", "of_tree", "tree_files"]

_CHUNK = 1 << 20


def canonical_json(value: Any) -> bytes:
    """The one spelling of a JSON value: sorted keys, no blanks, UTF-8, no NaN, a final newline.

    Parameters
    ----------
    value : plain JSON data, or records of ``edgetl.types`` anywhere in it.

    Raises
    ------
    ValueError : it holds NaN or an infinity, which JSON cannot say.
    """
    plain = msgspec.to_builtins(value, str_keys=True)
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def of_bytes(data: bytes | bytearray | memoryview) -> str:
    """sha256 of bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def of_json(value: Any) -> str:
    """sha256 of the canonical JSON of a value."""
    return of_bytes(canonical_json(value))


def of_file(path: Path) -> str:
    """sha256 of a file's bytes, read in pieces."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            hasher.update(piece)
    return hasher.hexdigest()


def tree_files(folder: Path) -> list[str]:
    """Every file below a folder, as sorted POSIX paths relative to it."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def of_tree(folder: Path, names: Iterable[str] | None = None) -> tuple[str, dict[str, dict[str, Any]]]:
    """Digest of a folder's content: the sha256 of ``{name: {sha256, size}}``, and that table.

    Parameters
    ----------
    folder : where the files are.
    names : relative POSIX names to take; every file below ``folder`` where it is ``None``.
    """
    table = {
        name: {"sha256": of_file(folder / name), "size": (folder / name).stat().st_size}
        for name in (tree_files(folder) if names is None else names)
    }
    return of_json(table), table
