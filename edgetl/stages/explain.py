"""explain: what a compiled engine really executes, layer by layer, and how much of it in INT8.

Layer times are a measurement. They are kept apart from ``compile``, whose artifact is the same every time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgetl import digest
from edgetl.backends import seam
from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.stages.compile import engine_of, profile_of
from edgetl.types import LayerInfo
from edgetl.words import counted

__all__ = ["INT8_KINDS", "LAYERS", "executed", "int8_share", "slowest", "stage"]

LAYERS = "layers.json"
PREFIX = "explain:"
SLOWEST = 5
INT8_KINDS = frozenset({"u8", "i8", "int8", "uint8"})


def stage(candidate: str, profile: DeviceProfile, host: Mapping[str, str]) -> Stage:
    """Run a candidate's engine with the vendor's profiler on."""
    asked = profile_of(candidate, profile)
    backend = seam.find(asked.backend)
    compiled = f"compile:{candidate}"

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        engine, folder = engine_of(inputs[compiled])
        layers = backend.explain(engine, folder, asked)
        (out / LAYERS).write_bytes(digest.canonical_json(layers))
        share, mostly = int8_share(layers), _mostly(layers)
        told = _told(candidate, mostly, share)
        return {"summary": told, "executed": mostly, "slowest": slowest(layers), **share}

    options = {"threads": profile.threads, "host": dict(host)}
    return Stage(f"{PREFIX}{candidate}", 2, (compiled,), options, backend.fingerprint(), run)


def executed(artifacts: Mapping[str, Artifact]) -> dict[str, list[LayerInfo]]:
    """What each candidate that was explained executed, in the order it ran."""
    return {
        name.removeprefix(PREFIX): msgspec.json.decode(
            (made.path / LAYERS).read_bytes(), type=list[LayerInfo]
        )
        for name, made in artifacts.items()
        if name.startswith(PREFIX)
    }


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


def slowest(layers: list[LayerInfo]) -> list[dict[str, Any]]:
    """The layers that take longest, with their share of the time: what to look at where the latency is too long."""
    total = sum(layer.microseconds or 0.0 for layer in layers)
    first = sorted(layers, key=lambda layer: -(layer.microseconds or 0.0))[:SLOWEST]
    return [
        {
            "name": layer.name,
            "kind": layer.kind,
            "precision": layer.precision,
            "share": layer.microseconds / total,
        }
        for layer in first
        if layer.microseconds
    ]


def _mostly(layers: list[LayerInfo]) -> str:
    """The precision that most of the time was spent in; empty where nothing was timed."""
    spent: dict[str, float] = {}
    for layer in layers:
        spent[layer.precision] = spent.get(layer.precision, 0.0) + (layer.microseconds or 0.0)
    return max(spent, key=lambda name: spent[name]) if spent else ""


def _told(candidate: str, executed: str, share: Mapping[str, Any]) -> str:
    """The stage's part of its line: f32 needs no word, and the table has the other backends."""
    if candidate == "default" and executed:
        return f"default runs in {executed}"
    if candidate != "int8" or share["int8_time_share"] is None:
        return ""
    inside = f"{100 * share['int8_time_share']:.0f} % of the time in INT8"
    return f"int8: {inside}, {counted(share['reorders'], 'reorder')}"
