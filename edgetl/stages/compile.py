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
from edgetl.types import Engine, LayerInfo

__all__ = ["CANDIDATES", "ENGINE", "INT8_KINDS", "engine_of", "int8_share", "stage"]

CANDIDATES = ("f32", "default", "int8")
ENGINE = "engine.json"
LAYERS = "layers.json"
INT8_KINDS = frozenset({"u8", "i8", "int8", "uint8"})


def stage(candidate: str, profile: DeviceProfile, host: Mapping[str, str], *, source: str) -> Stage:
    """Compile ``source``'s ``model.onnx`` as a candidate.

    Parameters
    ----------
    candidate : ``f32``, ``default`` or ``int8``.
    host : fingerprint of this host, for an engine is made for one.
    source : the stage whose artifact holds the ONNX file.
    """
    backend = seam.find(profile.backend)
    asked = msgspec.structs.replace(profile, precision=candidate)

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        folder = out / "engine"
        folder.mkdir()
        engine = backend.compile(inputs[source].path / "model.onnx", asked, folder)
        (folder / ENGINE).write_bytes(digest.canonical_json(engine))
        layers = backend.explain(engine, folder, asked)
        (out / LAYERS).write_bytes(digest.canonical_json(layers))
        share = int8_share(layers)
        return {
            "summary": f"{candidate}{_executed(candidate, layers)}",
            "size_bytes": sum(p.stat().st_size for p in folder.iterdir() if p.name != ENGINE),
            "executed": _executed(candidate, layers).strip(" ()"),
            **share,
        }

    options = {
        "backend": profile.backend,
        "device": profile.device,
        "threads": profile.threads,
        "scheme": profile.scheme,
        "candidate": candidate,
        "host": dict(host),
    }
    return Stage(f"compile:{candidate}", 1, (source,), options, backend.fingerprint(), run)


def engine_of(artifact: Artifact) -> tuple[Engine, Path]:
    """The engine that a compile stage left, and the folder of its files."""
    folder = artifact.path / "engine"
    return msgspec.json.decode((folder / ENGINE).read_bytes(), type=Engine), folder


def int8_share(layers: list[LayerInfo]) -> dict[str, Any]:
    """Share of layers and of time that ran in INT8, and what stood between them.

    Returns
    -------
    ``int8_layer_share`` and ``int8_time_share`` (0 to 1, the latter ``None`` without times), ``reorders``
    and ``float_layers`` (kinds of the layers that stayed in float, with their count).
    """
    work = [layer for layer in layers if layer.microseconds]  # the others cost nothing: they change a view
    inside = [layer for layer in work if layer.precision in INT8_KINDS]
    total = sum(layer.microseconds or 0.0 for layer in work)
    floats: dict[str, int] = {}
    for layer in work:
        if layer.precision not in INT8_KINDS and layer.kind != "Reorder":
            floats[layer.kind] = floats.get(layer.kind, 0) + 1
    return {
        "int8_layer_share": len(inside) / len(work) if work else 0.0,
        "int8_time_share": sum(layer.microseconds or 0.0 for layer in inside) / total if total else None,
        "reorders": sum(layer.kind == "Reorder" for layer in work),
        "float_layers": floats,
    }


def _executed(candidate: str, layers: list[LayerInfo]) -> str:
    """What the default precision turned out to be, in brackets: the one most of the time was spent in."""
    if candidate != "default":
        return ""
    spent: dict[str, float] = {}
    for layer in layers:
        spent[layer.precision] = spent.get(layer.precision, 0.0) + (layer.microseconds or 0.0)
    return f" ({max(spent, key=lambda name: spent[name])})" if spent else ""
