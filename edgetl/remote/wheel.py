"""The wheel of this very edgetl, for the device: the same files give the same bytes, and need no build tool.

Where edgetl was installed from a wheel its files are those of its RECORD; in a checkout they are those of the folders
that ``pyproject.toml`` maps into the package.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import edgetl
from edgetl.errors import EnvironmentLacks

__all__ = ["requirements", "write"]

NAME = "edgetl"
FOLDERS = {"edgetl": "edgetl", "calibration": "edgetl/calibration", "kernels": "edgetl/kernels"}
DATA = "devices.yaml"
RECORDS = ("METADATA", "WHEEL", "entry_points.txt")
WHEEL = "Wheel-Version: 1.0\nGenerator: edgetl\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time stamp of every member: the oldest that the format knows."""


def requirements() -> list[str]:
    """What the core depends on, such as ``numpy>=1.26``: extras are the device's own affair."""
    return [one for one in _distribution().requires or () if ";" not in one]


def write(folder: Path) -> Path:
    """Write the wheel into a folder.

    Raises
    ------
    EnvironmentLacks : its files are not where they should be.
    """
    distribution = _distribution()
    members = dict(_installed(distribution) or _checkout())
    if f"{NAME}/__init__.py" not in members:
        raise EnvironmentLacks(
            "the files of this edgetl are not found", hint="pip install edgetl, or a checkout"
        )
    info = f"{NAME}-{distribution.version}.dist-info"
    for name in RECORDS:
        text = WHEEL if name == "WHEEL" else distribution.read_text(name)
        members[f"{info}/{name}"] = (text or "").encode()
    rows = [f"{name},sha256={_digest(body)},{len(body)}\n" for name, body in sorted(members.items())]
    members[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"]).encode()
    wheel = folder / f"{NAME}-{distribution.version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in sorted(members.items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, body)
    return wheel


def _distribution() -> metadata.Distribution:
    """The one that an installer wrote: what a build leaves in a checkout has neither RECORD nor METADATA."""
    for found in metadata.distributions(name=NAME):
        if found.read_text("RECORD") is not None:
            return found
    raise EnvironmentLacks(
        "this edgetl was not installed", hint="pip install edgetl, or pip install -e CHECKOUT"
    )


def _digest(body: bytes) -> str:
    """As RECORD writes it (PEP 376): URL-safe base64 without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()


def _installed(distribution: metadata.Distribution) -> dict[str, bytes]:
    """The files of the package as RECORD lists them; none where it lists no package, as after ``pip install -e``.

    Beside a checkout, ``edgetl.egg-info`` of an earlier build has a list, too: of sources, and no RECORD.
    """
    if distribution.read_text("RECORD") is None:
        return {}
    listed = [file for file in distribution.files or () if file.parts[0] == NAME and file.suffix != ".pyc"]
    return {file.as_posix(): Path(str(file.locate())).read_bytes() for file in listed}


def _checkout() -> Iterator[tuple[str, bytes]]:
    root = Path(str(edgetl.__file__)).parent.parent
    for folder, name in FOLDERS.items():
        for file in sorted((root / folder).rglob("*")):
            inside = file.relative_to(root / folder)
            if file.is_file() and "__pycache__" not in inside.parts:
                yield f"{name}/{inside.as_posix()}", file.read_bytes()
    if (root / DATA).is_file():
        yield f"{NAME}/_data/{DATA}", (root / DATA).read_bytes()
