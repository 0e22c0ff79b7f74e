"""Which candidate ships: the fastest inside both budgets, and why, in words."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from edgetl.candidate import precision_of

__all__ = ["choose"]


def choose(
    candidates: Sequence[str],
    drops: Mapping[str, float],
    latency: Mapping[str, Mapping[str, Any]],
    versus: Mapping[str, Mapping[str, Any]],
    *,
    max_drop: float,
    precision: str,
    images: int,
    in_budget: Collection[str] | None = None,
) -> tuple[str, str]:
    """The candidate to ship, and why, in words for the summary.

    Parameters
    ----------
    candidates : ``f32``, ``default``, ``int8``, those of a second backend as ``int8@onnxruntime``.
    drops : points of top-1 below f32 on the ``select`` images, by candidate.
    latency : ``{candidate: {"p50": ms}}``; empty where nothing was timed.
    versus : ``{candidate: {"ratio", "ci95", "verdict"}}``, each timed against ``default``.
    images : how many ``select`` images the drops are of.
    in_budget : candidates that keep those of latency, memory and power; ``None`` where there is none.

    Notes
    -----
    The fastest within the budgets ships. A candidate that cannot be told from ``default`` in speed does not
    replace it: it would give accuracy away for nothing. Where none keeps both budgets, accuracy goes first.
    """
    if precision != "auto":
        insisted = [name for name in candidates if precision_of(name) == precision]
        fastest = min(insisted, key=lambda name: latency[name]["p50"]) if latency else insisted[0]
        return fastest, "asked for by --precision"
    held = [name for name in candidates if drops.get(name, 0.0) <= max_drop]
    if not latency:
        untimed = "not timed: the device's engine is still to be built"
        if "int8" in candidates and "int8" not in held:
            return "f32", f"{_over(drops, max_drop, images)}; {untimed}"
        return "int8" if "int8" in candidates else "f32", untimed
    both = [name for name in held if in_budget is None or name in in_budget]
    shipped, why = _fastest(
        candidates, both or held, drops, latency, versus, max_drop=max_drop, images=images
    )
    return shipped, why if both else f"{why}; no candidate keeps every budget of the device"


def _fastest(
    candidates: Sequence[str],
    able: Sequence[str],
    drops: Mapping[str, float],
    latency: Mapping[str, Mapping[str, Any]],
    versus: Mapping[str, Mapping[str, Any]],
    *,
    max_drop: float,
    images: int,
) -> tuple[str, str]:
    """Of those that are able, the fastest that is surely faster than ``default``; and why."""
    surely = [name for name in able if name == "default" or versus[name]["verdict"] == "faster"]
    fastest = min(surely or able, key=lambda name: latency[name]["p50"])
    if fastest not in ("f32", "default"):
        return fastest, _won(fastest, versus, "" if math.isinf(max_drop) else f" on {images} select images")
    if "int8" in candidates and drops.get("int8", 0.0) > max_drop:
        return fastest, _over(drops, max_drop, images)
    if "int8" in versus:
        return fastest, f"int8 is {_against(versus['int8'])}"
    return fastest, "the fastest within the budget"


def _over(drops: Mapping[str, float], max_drop: float, images: int) -> str:
    return f"int8 loses {drops['int8']:.1f} points on {images} select images, budget {max_drop:.2f}"


def _won(name: str, versus: Mapping[str, Mapping[str, Any]], budget: str) -> str:
    """Why a candidate ships in the place of the default precision."""
    told = versus[name]
    within = f", and within the budget{budget}" if budget else ""
    if told["verdict"] != "faster":
        return f"the default precision is over a budget of the device{within}"
    return f"{1 / told['ratio']:.2f}x as fast as the default precision{within}"


def _against(versus: Mapping[str, Any]) -> str:
    low, high = versus["ci95"]
    percent = 100 * (versus["ratio"] - 1)
    spread = f"95 % interval [{100 * (low - 1):+.1f}, {100 * (high - 1):+.1f}] %"
    if versus["verdict"] == "slower":
        return f"{percent:.1f} % slower than the default precision ({spread})"
    return f"not measurably faster than the default precision ({percent:+.1f} %, {spread})"
