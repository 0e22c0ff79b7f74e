"""select: which candidate ships, by the ``select`` images and the measured latency; the report is on ``test``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl import asked
from edgetl.candidate import spoken
from edgetl.devices import Budgets
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.search.choice import choose
from edgetl.stages import check, held, prepare, select_tasks, verify
from edgetl.types import Role
from edgetl.verify import budget, metrics, operating
from edgetl.verify.accuracy import PairedResult, paired, per_class_recall
from edgetl.verify.by_task import Budgets as Drops
from edgetl.verify.mistakes import confusion, worst

__all__ = ["stage"]


def stage(
    candidates: tuple[str, ...],
    classes_from: str,
    *,
    max_drop: float,
    budgets: Budgets,
    precision: str,
    timed: bool,
    optimize: str | None = None,
    positive: str | None = None,
    drops: Drops = held.LIFTED,
) -> Stage:
    """Pick within the budgets.

    Parameters
    ----------
    candidates : what was compiled and verified.
    max_drop : budget in points of top-1; infinity lifts it.
    budgets : those that this host is held to.
    precision : ``auto``, or the candidate that the user insists on.
    timed : a bench stage ran; without one nothing is shipped as the fastest.
    optimize, positive : what the threshold between two classes is chosen for, on the answers of what ships to the
        ``select`` images; ``None``: the likelier class is answered.
    drops : budgets of several tasks.
    """

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        lost = {name: _lost(inputs, name, drops) for name in candidates if name != "f32"}
        latency = inputs["bench"].record["latency_ms"] if timed else {}
        versus = inputs["bench"].record["versus_default"] if timed else {}
        judged_on = len(prepare.labels(inputs["prepare"], "select"))
        judged = latency if budgets.on_host() else ()
        held_to = {name: _held(name, inputs["bench"].record, budgets) for name in judged}
        shipped, reason = choose(
            candidates,
            lost,
            latency,
            versus,
            max_drop=max_drop,
            precision=precision,
            images=judged_on,
            in_budget=_keeping(held_to) if budgets.on_host() else None,
        )
        classes = inputs[classes_from].record["classes"]
        decided = {} if optimize is None else _decide(inputs, shipped, classes_from, optimize, positive)
        return {
            "summary": f"{spoken(shipped)}: {reason}",
            "shipped": shipped,
            "reason": reason,
            "select_drop_pt": {"f32": 0.0, **lost},
            "select_images": judged_on,
            "latency": held_to,
            "accuracy": select_tasks.accuracy(inputs, candidates, shipped, drops)
            if prepare.tasks_of(inputs["prepare"])
            else _accuracy(inputs, candidates, shipped, max_drop)
            | _by_class(inputs, shipped, classes)
            | _metrics(inputs, shipped, classes, positive or decided.get("positive"))
            | decided.get("accuracy", {}),
            "operating_point": decided.get("point"),
            "notes": [*_dependent(check.groups_of(inputs[classes_from], "test")), *decided.get("notes", [])],
            "worst_images": _worst(inputs, shipped, classes_from),
        }

    needs = ("prepare", classes_from, *(f"verify:{name}" for name in candidates))
    options = {
        "max_drop": None if math.isinf(max_drop) else max_drop,
        "budgets": msgspec.to_builtins(budgets),
        "precision": precision,
        **({"optimize": optimize, "positive": positive} if optimize else {}),
        **({"own_drops": drops.own} if drops.own else {}),
    }
    return Stage("select", 5, (*needs, "bench") if timed else needs, options, {}, run)


def _held(name: str, timed: Mapping[str, Any], budgets: Budgets) -> dict[str, Any]:
    """A candidate's latency, memory and power against the budgets of them; ``slow`` where a latency is over."""
    used = budget.used_of(timed["use"].get(name, {}), budgets)
    in_time = budget.judge_latency(timed["latency_ms"][name], budgets.latencies())
    told = budget.together([in_time, budget.judge_used(used)])
    return {**msgspec.to_builtins(told), "slow": in_time.verdict == "over"}


def _keeping(held: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Candidates of which nothing that was measured is over."""
    return [name for name, told in held.items() if told["verdict"] in ("within", "unmeasured")]


def _accuracy(
    inputs: Mapping[str, Artifact], candidates: Sequence[str], shipped: str, max_drop: float
) -> dict[str, Any]:
    """Every candidate on the test images, and the shipped one's drop held against the budget."""
    reported = {name: _pair(inputs, name, "test") for name in candidates}
    result = reported[shipped]
    verdict = budget.judge(result, max_drop_pt=max_drop)
    return {
        **{_key(name): found.candidate_accuracy for name, found in reported.items()},
        "shipped": result.candidate_accuracy,
        "n": result.n,
        "drop_pt": result.drop_pt,
        "drop_ci95_pt": list(result.drop_ci95_pt),
        "agreement": {_key(name): found.agreement for name, found in reported.items()},
        "budget_pt": None if math.isinf(max_drop) else max_drop,
        "verdict": verdict.verdict,
        "sentence": verdict.sentence,
    }


def _by_class(inputs: Mapping[str, Artifact], shipped: str, classes: Sequence[str]) -> dict[str, Any]:
    labels = prepare.labels(inputs["prepare"], "test")
    answers = verify.logits(inputs[f"verify:{shipped}"], "test")
    recall = per_class_recall(labels, answers, classes)
    return {
        "per_class_recall": recall.rows,
        "worst_class": recall.sentence,
        "confusion": confusion(labels, answers),
    }


def _dependent(groups: npt.NDArray[np.int64] | None) -> list[str]:
    """Pictures of one group are alike, so that they tell less than as many of different ones."""
    if groups is None or len(np.unique(groups)) == len(groups):
        return []
    return [
        f"the {len(groups)} test images are of {len(np.unique(groups))} groups: intervals take images for independent, "
        "and are narrower than they should be"
    ]


def _metrics(
    inputs: Mapping[str, Artifact], shipped: str, classes: Sequence[str], positive: str | None
) -> dict[str, Any]:
    labels = prepare.labels(inputs["prepare"], "test")
    found = {
        "shipped": metrics.measure(labels, verify.logits(inputs[f"verify:{shipped}"], "test"), classes),
        "fp32": metrics.measure(labels, verify.logits(inputs["verify:f32"], "test"), classes),
    }
    told = metrics.lines(found["shipped"], found["fp32"], positive)
    return {"metrics": msgspec.to_builtins(found), "ranking": told}


def _decide(
    inputs: Mapping[str, Artifact], shipped: str, classes_from: str, optimize: str, positive: str | None
) -> dict[str, Any]:
    """The threshold by the ``select`` images, then what it does on the ``test`` images."""
    classes = list(inputs[classes_from].record["classes"])
    objective = asked.objective(optimize)
    trained = prepare.labels(inputs["prepare"], "train")
    chosen = classes.index(positive) if positive else operating.rarer(trained)
    point = operating.choose(
        prepare.labels(inputs["prepare"], "select"),
        verify.logits(inputs[f"verify:{shipped}"], "select"),
        chosen,
        classes[chosen],
        objective,
    )
    decided = operating.held_against(
        prepare.labels(inputs["prepare"], "test"),
        verify.logits(inputs["verify:f32"], "test"),
        verify.logits(inputs[f"verify:{shipped}"], "test"),
        chosen,
        point.threshold,
    )
    told = {"at_threshold": msgspec.to_builtins(decided), "decision": decided.lines(point)}
    assumed = (
        f"the positive class is {classes[chosen]!r}, which has no more pictures to train on than the other"
    )
    notes = ["" if positive else f"{assumed} (--positive names it)", operating.few(objective, point)]
    return {
        "point": msgspec.to_builtins(point),
        "positive": classes[chosen],
        "accuracy": told,
        "notes": [note for note in notes if note],
    }


def _worst(inputs: Mapping[str, Artifact], shipped: str, classes_from: str) -> list[Any]:
    """The test images that the shipped engine gets most wrong, by name; of several tasks there is no one order."""
    if prepare.tasks_of(inputs["prepare"]):
        return []
    tested = [s for s in check.dataset_of(inputs[classes_from]).samples if s.role == "test"]
    labels = prepare.labels(inputs["prepare"], "test")
    answers = verify.logits(inputs[f"verify:{shipped}"], "test")
    found: list[Any] = msgspec.to_builtins(worst(labels, answers, [(s.path, s.sha256) for s in tested]))
    return found


def _key(candidate: str) -> str:
    """What a candidate is called in the accuracies, whose names are older than the candidates."""
    return "fp32" if candidate == "f32" else candidate


def _lost(inputs: Mapping[str, Artifact], candidate: str, drops: Drops) -> float:
    """Points that a candidate loses on the ``select`` images."""
    before, after = (verify.logits(inputs[f"verify:{name}"], "select") for name in ("f32", candidate))
    return held.against(inputs["prepare"], "select", before, after, drops).drop_pt


def _pair(inputs: Mapping[str, Artifact], candidate: str, role: Role) -> PairedResult:
    return paired(
        prepare.labels(inputs["prepare"], role),
        verify.logits(inputs["verify:f32"], role),
        verify.logits(inputs[f"verify:{candidate}"], role),
    )
