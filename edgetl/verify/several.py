"""``edgetl verify`` of several tasks: each held against f32, its budget, and what the build measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from edgetl.errors import EdgetlError, GateFailed, Inconclusive
from edgetl.runtime import Bundle
from edgetl.tasks import Task, slices
from edgetl.verify import by_task
from edgetl.verify.by_task import Budgets
from edgetl.verify.decision import Measured

__all__ = ["budgets_at_build", "measured", "report"]

Rows = npt.NDArray[Any]
SLACK_PT = 2.0
"""Points that another CPU's rounding may cost on the images of the build."""
CHANCE = 2.6
"""Standard errors that two sets of images may lie apart."""


def report(
    tasks: Sequence[Task], answers: Rows, rows: Mapping[str, Rows], shipped: str, budgets: Budgets
) -> dict[str, Any]:
    """``accuracy`` of ``--json`` for several tasks, whose drop is that of the task that decides.

    Parameters
    ----------
    answers : true ones, float64 (N, tasks). rows : of each candidate (N, outputs), ``f32`` among them.
    """
    judged = by_task.judge(tasks, answers, rows["f32"], rows[shipped], budgets)
    whole, first = by_task.overall(judged), by_task.lead(judged)
    told = []
    for number, (task, part) in enumerate(zip(tasks, slices(tasks))):
        mine = {name: of[:, part] for name, of in rows.items()}
        told.append(by_task.told(task, number, judged[number], answers, mine, shipped))
    return {
        "n": len(answers),
        "drop_pt": first.result.drop_pt,
        "drop_ci95_pt": list(first.result.drop_ci95_pt),
        "budget_pt": first.budget_pt,
        "verdict": whole.verdict,
        "sentence": whole.sentence,
        "decided_by": first.name,
        "tasks": told,
    }


def budgets_at_build(bundle: Bundle) -> Budgets:
    """What the build held each task to."""
    kept = {task["name"]: task["budget_pt"] for task in bundle.results["accuracy"]["tasks"]}
    return Budgets(common=math.inf, own={name: of for name, of in kept.items() if of is not None})


def measured(
    bundle: Bundle,
    answers: Rows,
    reference: Rows,
    shipped: Rows,
    budgets: Budgets,
    *,
    same: bool,
    strict: bool,
) -> Measured:
    """Every task of a bundle's engine on labelled pictures.

    Parameters
    ----------
    answers : true ones, float64 (N, tasks). reference, shipped : rows (N, outputs) of f32 and of the engine.
    same : these are the test images of the build.
    """
    data = report(bundle.tasks, answers, {"f32": reference, "engine": shipped}, "engine", budgets)
    before = {task["name"]: task for task in bundle.results["accuracy"]["tasks"]}
    lines, moved = [], []
    for task, told, number in zip(bundle.tasks, data["tasks"], range(len(answers[0]))):
        at_build = before[task.name]
        figure, then = _figure(told), _figure(at_build)
        lines.append(f"  {task.name:<10} {figure}, at the build {then}; {told['sentence']}")
        lines += [f"             {line}" for line in told["lines"] if line]
        if _fell(task, told, at_build, answers[:, number], same):
            moved.append(f"{task.name} is {figure}, the build measured {then}: more than chance explains")
    lines.append(f"  tasks      {data['sentence']}")
    data["same_test_images"] = same
    return Measured({"accuracy": data}, lines, _failure(data, moved, strict))


def _figure(told: Mapping[str, Any]) -> str:
    if told["kind"] == "value":
        return f"MAE {told['mae']['shipped']:.4g}"
    return f"{100 * told['shipped']:.1f} %"


def _fell(task: Task, told: Mapping[str, Any], before: Mapping[str, Any], truth: Rows, same: bool) -> bool:
    """Whether a task does worse than at the build by more than two sets of images differ by chance."""
    if task.kind == "value":
        points = 100 * (told["mae"]["shipped"] - before["mae"]["shipped"]) / task.spread
        low, high = before["values"]["shipped"]["mae"]["ci95"]
        chance = 100 * CHANCE * math.sqrt(2) * (high - low) / 3.92 / task.spread
    else:
        points, share = 100 * (before["shipped"] - told["shipped"]), before["shipped"]
        chance = 100 * CHANCE * math.sqrt(2 * share * (1 - share) / len(truth))
    return bool(points > SLACK_PT + (0.0 if same else chance))


def _failure(data: Mapping[str, Any], moved: Sequence[str], strict: bool) -> EdgetlError | None:
    hint = "edgetl sensitivity BUNDLE --data DATA   lists the layers that INT8 costs most in"
    if data["verdict"] == "over":
        return GateFailed(data["sentence"], hint=hint, task=data["decided_by"])
    if moved:
        return GateFailed(
            "; ".join(moved), hint="other pictures or labels than the build's? edgetl check looks"
        )
    if strict and data["verdict"] == "unproven":
        return Inconclusive(data["sentence"], hint="more test images, or without --strict")
    return None
