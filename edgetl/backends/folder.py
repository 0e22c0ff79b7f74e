"""An engine on disk: its files in a folder, with the record that opens them beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgetl import digest
from edgetl.backends import seam
from edgetl.types import Engine

if TYPE_CHECKING:
    from edgetl.devices import DeviceProfile

__all__ = ["RECORD", "compile_into", "read"]

RECORD = "engine.json"


def compile_into(model: Path, profile: DeviceProfile, folder: Path) -> Engine:
    """Compile an ONNX file into a new folder, with its record.

    Raises
    ------
    EnvironmentLacks : the device is not here. BackendError : the vendor refused the graph.
    """
    folder.mkdir()
    engine = seam.find(profile.backend).compile(model, profile, folder)
    (folder / RECORD).write_bytes(digest.canonical_json(engine))
    return engine


def read(folder: Path) -> Engine:
    """The record of the engine in a folder."""
    return msgspec.json.decode((folder / RECORD).read_bytes(), type=Engine)
