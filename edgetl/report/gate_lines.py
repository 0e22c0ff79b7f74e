"""What a gate came to, on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgetl.words import counted

__all__ = ["doubts", "latency_rows", "lines"]

LAYERS = 5
"""Layers that are named; ``gate.json`` holds all."""


def lines(data: Mapping[str, Any]) -> list[str]:
    """The verdict of each model, what it rests on, and where the time went."""
    told: list[str] = []
    for model in data["models"]:
        told += [
            f"▸ {model['verdict'].upper():<12} {model['candidate']} against {model['baseline']}",
            f"  {data['rule']['metric']:<10} {model['sentence']}",
            *(f"  {name:<10} {row}" for name, row in latency_rows(model)),
            *(f"  limit      {held['sentence']}" for held in model["limits"]),
            *(f"  changed    {change}" for change in model["around"]),
            *(f"  layer      {layer}" for layer in (model["layers"] or [])[:LAYERS]),
            *_left_out(model),
            *(f"  doubt      {doubt}" for doubt in doubts(model, data["rule"])),
            f"  measured   {counted(model['pairs'], 'pair')}, {model['timed_seconds']:.0f} s of timing in "
            f"{model['seconds']:.0f} s",
        ]
    if data["left_out"]:
        told.append(f"  {data['left_out']} more were not measured")
    return told


def _left_out(model: Mapping[str, Any]) -> list[str]:
    more = len(model["layers"] or []) - LAYERS
    return [f"             and {more} more, in gate.json"] if more > 0 else []


def latency_rows(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Percentiles of both sides, ``n/a`` without support."""
    return [
        (
            side,
            ", ".join(
                f"{name} {'n/a' if found[name] is None else format(found[name], '.3f') + ' ms'}"
                for name in ("p50", "p90", "p99")
            )
            + f", {found['n']} runs",
        )
        for side, found in model["latency_ms"].items()
    ]


def doubts(model: Mapping[str, Any], rule: Mapping[str, Any]) -> list[str]:
    """Why the answer may not be what one hoped for: each is a sentence, none where there is no reason."""
    told = []
    resolution, tolerance = model["resolution"], rule["tolerance"]
    if resolution is not None and resolution > tolerance:
        told.append(
            f"this machine can tell about {100 * resolution:.1f} % in this time, which is more than the tolerance of "
            f"{100 * tolerance:g} %: one engine differs from itself by {100 * model['spread']:.1f} %"
        )
    if model["latency_ms"] and not model["ratios"]:
        told.append("the baseline was stored: what the machine changed in since counts as the candidate's")
    return [*told, *model["host_doubts"]]
