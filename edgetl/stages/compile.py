"""compile: one candidate's ONNX file becomes an engine for the profile's device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgetl import digest
from edgetl.backends import seam
from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.search.choice import spoken
from edgetl.types import Engine

__all__ = ["CANDIDATES", "ENGINE", "engine_of", "profile_of", "stage"]

CANDIDATES = ("f32", "default", "int8")
ENGINE = "engine.json"


def profile_of(candidate: str, profile: DeviceProfile) -> DeviceProfile:
    """The profile that a candidate is compiled for: its precision, and its backend where it names one."""
    precision, _, backend = candidate.partition("@")
    return msgspec.structs.replace(profile, precision=precision, backend=backend or profile.backend)


def stage(candidate: str, profile: DeviceProfile, host: Mapping[str, str], *, source: str) -> Stage:
    """Compile ``source``'s ``model.onnx`` as a candidate.

    Parameters
    ----------
    candidate : ``f32``, ``default`` or ``int8``, with ``@backend`` where it is not the profile's.
    host : fingerprint of this host, for an engine is made for one.
    source : the stage whose artifact holds the ONNX file.
    """
    asked = profile_of(candidate, profile)
    backend = seam.find(asked.backend)

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        folder = out / "engine"
        folder.mkdir()
        engine = backend.compile(inputs[source].path / "model.onnx", asked, folder)
        (folder / ENGINE).write_bytes(digest.canonical_json(engine))
        return {
            "summary": spoken(candidate),
            "size_bytes": sum(p.stat().st_size for p in folder.iterdir() if p.name != ENGINE),
        }

    options = {
        "backend": asked.backend,
        "device": profile.device,
        "threads": profile.threads,
        "scheme": profile.scheme,
        "candidate": asked.precision,
        "host": dict(host),
    }
    return Stage(f"compile:{candidate}", 2, (source,), options, backend.fingerprint(), run)


def engine_of(artifact: Artifact) -> tuple[Engine, Path]:
    """The engine that a compile stage left, and the folder of its files."""
    folder = artifact.path / "engine"
    return msgspec.json.decode((folder / ENGINE).read_bytes(), type=Engine), folder
