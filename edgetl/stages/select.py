"""select: which candidate ships, by the ``select`` images and the measured latency; the report is on ``test``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgetl.pipeline import Artifact, Context, Stage
from edgetl.stages import prepare, verify
from edgetl.types import Role
from edgetl.verify import budget
from edgetl.verify.accuracy import PairedResult, paired, per_class_recall

__all__ = ["choose", "stage"]

NAMES = {"f32": "fp32", "default": "default", "int8": "int8"}


def stage(
    candidates: tuple[str, ...],
    classes_from: str,
    *,
    max_drop: float,
    precision: str,
    timed: bool,
) -> Stage:
    """Pick within the accuracy budget.

    Parameters
    ----------
    candidates : what was compiled and verified.
    max_drop : budget in points of top-1; infinity lifts it.
    precision : ``auto``, or the candidate that the user insists on.
    timed : a bench stage ran; without one nothing is shipped as the fastest.
    """

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        drops = {name: _pair(inputs, name, "select").drop_pt for name in candidates if name != "f32"}
        latency = inputs["bench"].record["latency_ms"] if timed else {}
        versus = inputs["bench"].record["versus_default"] if timed else {}
        judged_on = len(prepare.labels(inputs["prepare"], "select"))
        shipped, reason = choose(
            candidates, drops, latency, versus, max_drop=max_drop, precision=precision, images=judged_on
        )
        reported = {name: _pair(inputs, name, "test") for name in candidates}
        result = reported[shipped]
        verdict = budget.judge(result, max_drop_pt=max_drop)
        recall = per_class_recall(
            prepare.labels(inputs["prepare"], "test"),
            verify.logits(inputs[f"verify:{shipped}"], "test"),
            inputs[classes_from].record["classes"],
        )
        accuracy = {NAMES[name]: reported[name].candidate_accuracy for name in candidates}
        return {
            "summary": f"{shipped}: {reason}",
            "shipped": shipped,
            "reason": reason,
            "select_drop_pt": drops,
            "accuracy": {
                **accuracy,
                "shipped": result.candidate_accuracy,
                "n": result.n,
                "drop_pt": result.drop_pt,
                "drop_ci95_pt": list(result.drop_ci95_pt),
                "agreement": {NAMES[name]: reported[name].agreement for name in candidates},
                "budget_pt": None if math.isinf(max_drop) else max_drop,
                "verdict": verdict.verdict,
                "sentence": verdict.sentence,
                "per_class_recall": recall.rows,
                "worst_class": recall.sentence,
            },
        }

    needs = ("prepare", classes_from, *(f"verify:{name}" for name in candidates))
    options = {"max_drop": None if math.isinf(max_drop) else max_drop, "precision": precision}
    return Stage("select", 1, (*needs, "bench") if timed else needs, options, {}, run)


def _pair(inputs: Mapping[str, Artifact], candidate: str, role: Role) -> PairedResult:
    return paired(
        prepare.labels(inputs["prepare"], role),
        verify.logits(inputs["verify:f32"], role),
        verify.logits(inputs[f"verify:{candidate}"], role),
    )


def choose(
    candidates: tuple[str, ...],
    drops: Mapping[str, float],
    latency: Mapping[str, Mapping[str, Any]],
    versus: Mapping[str, Mapping[str, Any]],
    *,
    max_drop: float,
    precision: str,
    images: int,
) -> tuple[str, str]:
    """The candidate to ship, and why, in words for the summary.

    Parameters
    ----------
    drops : points of top-1 below f32 on the ``select`` images, by candidate.
    latency : ``{candidate: {"p50": ms}}``; empty where nothing was timed.
    versus : ``{candidate: {"ratio", "ci95", "verdict"}}``, each timed against ``default``.
    images : how many ``select`` images the drops are of.

    Notes
    -----
    The fastest within the budget ships. A candidate that cannot be told from ``default`` in speed does not
    replace it: it would give accuracy away for nothing.
    """
    if precision != "auto":
        return precision, "asked for by --precision"
    held = [name for name in candidates if drops.get(name, 0.0) <= max_drop]
    over = f"int8 loses {drops.get('int8', 0.0):.1f} points on {images} select images, budget {max_drop:.2f}"
    if not latency:
        untimed = "not timed: the device's engine is still to be built"
        if "int8" in candidates and "int8" not in held:
            return "f32", f"{over}; {untimed}"
        return "int8" if "int8" in candidates else "f32", untimed
    surely = [name for name in held if name == "default" or versus[name]["verdict"] == "faster"]
    fastest = min(surely or held, key=lambda name: latency[name]["p50"])
    if fastest == "int8":
        faster = f"{_faster(versus['int8']['ratio'])} the default precision"
        within = "" if math.isinf(max_drop) else f", and within the budget on {images} select images"
        return fastest, f"{faster}{within}"
    if "int8" in candidates and "int8" not in held:
        return fastest, over
    if "int8" in versus:
        return fastest, f"int8 is {_against(versus['int8'])}"
    return fastest, "the fastest within the budget"


def _faster(ratio: float) -> str:
    return f"{1 / ratio:.2f}x as fast as"


def _against(versus: Mapping[str, Any]) -> str:
    low, high = versus["ci95"]
    percent = 100 * (versus["ratio"] - 1)
    spread = f"95 % interval [{100 * (low - 1):+.1f}, {100 * (high - 1):+.1f}] %"
    if versus["verdict"] == "slower":
        return f"{percent:.1f} % slower than the default precision ({spread})"
    return f"not measurably faster than the default precision ({percent:+.1f} %, {spread})"
