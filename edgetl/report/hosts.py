"""The table of the devices that a build was finished on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["lines"]


def lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One row a host, what failed last; below it what mends a failure, its log, and which of several bundles is its."""
    wide = max(12, *(len(row["host"]) for row in rows))
    out = [
        "",
        f"  {'host':<{wide}} {'engine p50':>12} {'p90':>12} {'frame p50':>12} {'golden':>9} {'took':>8}",
    ]
    for row in sorted(rows, key=lambda row: row["error"] is not None):
        if row["error"] is not None:
            out += [
                f"  {row['host']:<{wide}} failed: {row['error']['problem']}",
                f"  {'':<{wide}} {row['error']['hint']}",
            ]
        else:
            out.append(f"  {row['host']:<{wide}} {_figures(row)}")
            out += [f"  {'':<{wide}} {row['budget']['sentence']}"] if row["budget"] else []
        places = [("log", row["log"])] if len(rows) == 1 else [("bundle", row["bundle"]), ("log", row["log"])]
        out += [f"  {'':<{wide}} {name:<7} {place}" for name, place in places if place]
    return out


def _figures(row: Mapping[str, Any]) -> str:
    engine, frame = (row["latency_ms"].get(name) or {} for name in ("engine", "frame"))
    golden = "n/a" if row["golden"] is None else f"{row['golden']:.1e}"
    times = " ".join(
        f"{_ms(value):>12}" for value in (engine.get("p50"), engine.get("p90"), frame.get("p50"))
    )
    return f"{times} {golden:>9} {row['seconds']:>6.1f} s"


def _ms(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f} ms"
