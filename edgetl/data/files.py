"""The bytes of a picture, wherever it lies: a file, or a member of a shard, ``shard.tar/KEY.jpg``."""

from __future__ import annotations

from pathlib import Path

from edgetl.data import shards

__all__ = ["read", "size"]


def read(place: Path) -> bytes:
    """All of it.

    Raises
    ------
    OSError : it is not there, or cannot be read. InputError : the shard that it is in is no whole tar.
    """
    found = _within(place)
    return place.read_bytes() if found is None else shards.read_member(*found)


def size(place: Path) -> int:
    """How many bytes that is; raises as ``read`` does."""
    found = _within(place)
    return place.stat().st_size if found is None else shards.size_of_member(*found)


def _within(place: Path) -> tuple[Path, str] | None:
    """The shard and the member's name, where a place is inside one."""
    for parent in place.parents:
        if parent.suffix == shards.SUFFIX and parent.is_file():
            return parent, place.relative_to(parent).as_posix()
    return None
