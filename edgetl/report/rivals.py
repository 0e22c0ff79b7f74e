"""How close each candidate came to both budgets: what a build shows where none keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgetl.candidate import precision_of, spoken

__all__ = ["lines", "rows"]


def rows(
    candidates: Sequence[str],
    chosen: Mapping[str, Any],
    latency: Mapping[str, Mapping[str, Any]],
    executed: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Each candidate by name, against the budgets.

    Parameters
    ----------
    chosen : record of the ``select`` stage. latency : percentiles in ms by candidate; empty where nothing was timed.
    executed : records of the ``explain`` stages.

    Returns
    -------
    ``drop_pt`` on the ``select`` images, ``latency_ms``, ``latency_budget`` (verdict and sentence of latency, memory
    and power, or ``None``) and ``slowest``, the layers that take longest.
    """
    return {
        name: {
            "precision": precision_of(name),
            "drop_pt": chosen["select_drop_pt"][name],
            "latency_ms": latency.get(name),
            "latency_budget": chosen["latency"].get(name),
            "slowest": executed.get(name, {}).get("slowest", []),
        }
        for name in candidates
    }


def lines(result: Mapping[str, Any]) -> list[str]:
    """One line a candidate with its drop and its latency against the budgets; none where no latency was judged."""
    told: list[str] = []
    for name, row in result["candidates"].items():
        if row["latency_budget"] is None:
            continue
        first = "" if told else "budgets"
        told.append(
            f"  {first:<8}{spoken(name):<22} drop {row['drop_pt']:.1f} points on {result['select_images']} "
            f"select images; {row['latency_budget']['sentence']}"
        )
    return told
