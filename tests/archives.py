"""Archives of our own making, on any Python that the project takes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

__all__ = ["unpack"]


def unpack(file: Path, place: Path) -> None:
    """Unpack a tar file by tar: Pythons before 3.10.12 and 3.11.4 know no filter, later ones ask for one."""
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run([shutil.which("tar") or "tar", "-xf", str(file), "-C", str(place)], check=True)
