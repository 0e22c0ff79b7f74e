"""compile: one candidate's ONNX file becomes an engine for the profile's device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgetl.backends import folder as folders
from edgetl.backends import seam
from edgetl.candidate import backend_of, precision_of, spoken
from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.types import Engine

__all__ = ["engine_of", "profile_of", "stage"]


def profile_of(candidate: str, profile: DeviceProfile) -> DeviceProfile:
    """The profile that a candidate is compiled for: its precision, and its backend where it names one."""
    backend = backend_of(candidate, profile.backend)
    options = profile.options if backend == profile.backend else {}
    return msgspec.structs.replace(
        profile, precision=precision_of(candidate), backend=backend, options=options
    )


def stage(candidate: str, profile: DeviceProfile, host: Mapping[str, str], *, source: str) -> Stage:
    """Compile ``source``'s ``model.onnx`` as a candidate.

    Parameters
    ----------
    candidate : ``f32``, ``default`` or ``int8``, with ``@backend`` where it is not the profile's.
    host : fingerprint of this host, for an engine is made for one.
    source : the stage whose artifact holds the ONNX file.
    """
    asked = profile_of(candidate, profile)

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        folder = out / "engine"
        folders.compile_into(inputs[source].path / "model.onnx", asked, folder)
        return {
            "summary": spoken(candidate),
            "size_bytes": sum(p.stat().st_size for p in folder.iterdir() if p.name != folders.RECORD),
        }

    options = {
        "backend": asked.backend,
        "device": profile.device,
        "threads": profile.threads,
        "scheme": profile.scheme,
        "options": asked.options,
        "candidate": asked.precision,
        "host": dict(host),
    }
    return Stage(f"compile:{candidate}", 2, (source,), options, seam.find(asked.backend).fingerprint(), run)


def engine_of(artifact: Artifact) -> tuple[Engine, Path]:
    """The engine that a compile stage left, and the folder of its files."""
    folder = artifact.path / "engine"
    return folders.read(folder), folder
