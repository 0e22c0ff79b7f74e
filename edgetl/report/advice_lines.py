"""Candidate backbones on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["lines"]

NAME = 22
"""Least width of the names."""


def lines(data: Mapping[str, Any]) -> list[str]:
    """The table, best first, what was skipped, and what to do."""
    rows = data["backbones"]
    width = max([NAME, *(len(row["name"]) for row in rows)])
    told = [f"  {data['title']}", ""]
    told.append(
        f"  {'':<{width}}  {'probe':>8}  {'95 % interval':>14}  {'LogME':>7}  {'NLEEP':>7}  {'INT8 p50':>9}"
    )
    told += [_row(row, width, data["recommended"]) for row in rows]
    legend = ["▸ recommended"] if data["recommended"] else []
    if any(row["front"] for row in rows):
        legend.append("* on the front: none is as fast and better, or as good and faster")
    told += [f"  {' · '.join(legend)}"] if legend else []
    told += [f"  {data['note']}"] if data["note"] else []
    if data["reason"]:
        finding, *rest = data["reason"].split("; ")
        told += ["", f"  {finding}", *(f"    {part}" for part in rest)]
    told += ["", *_skipped(data["skipped"])] if data["skipped"] else []
    if data["picture"]:
        told.append(f"  picture  {data['picture']}")
    if data["command"]:
        told += ["", f"  next     {data['command']}"]
    return told


def _skipped(skipped: Sequence[Mapping[str, Any]]) -> list[str]:
    """Those whose weights are not at hand in one block, with the files; the others each with its reason."""
    absent = [one for one in skipped if one["file"]]
    told = [f"  skipped  {one['name']}: {one['reason']}; {one['mend']}" for one in skipped if not one["file"]]
    if absent:
        width = max(len(one["name"]) for one in absent)
        told.append(
            "  skipped, for their weights are not here: --download fetches them, --models NAME=FILE names them"
        )
        told += [f"           {one['name']:<{width}}  {one['file']}" for one in absent]
    return told


def _row(row: Mapping[str, Any], width: int, recommended: str | None) -> str:
    sign = "▸" if row["name"] == recommended else "*" if row["front"] else " "
    probe = "n/a" if row["probe"] is None else f"{100 * row['probe']:.1f} %"
    span = row["probe_ci95"]
    between = "" if span is None else f"[{100 * span[0]:.1f}, {100 * span[1]:.1f}]"
    latency = row["latency"]
    time = "n/a" if latency is None else f"{latency['p50_ms']:.2f} ms"
    if latency is not None and latency["kind"] == "predicted":
        time = f"~{time}"
    scores = f"{probe:>8}  {between:>14}  {row['logme']:>7.3f}  {row['nleep']:>7.3f}"
    return f"{sign} {row['name']:<{width}}  {scores}  {time:>9}"
