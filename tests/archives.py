"""Archives of our own making, on any Python that the project takes."""

from __future__ import annotations

import tarfile
from pathlib import Path

__all__ = ["unpack"]


def unpack(file: Path, place: Path) -> None:
    """Unpack a tar file; Pythons before 3.10.12 and 3.11.4 know no filter, and those from 3.12 on ask for one."""
    with tarfile.open(file) as archive:
        archive.extractall(place, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
