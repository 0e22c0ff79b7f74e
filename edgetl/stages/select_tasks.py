"""What the ``select`` stage reports of several tasks, on the ``test`` images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgetl.pipeline import Artifact
from edgetl.stages import prepare, verify
from edgetl.tasks import slices
from edgetl.verify import by_task
from edgetl.verify.by_task import Budgets

__all__ = ["accuracy"]


def accuracy(
    inputs: Mapping[str, Artifact], candidates: Sequence[str], shipped: str, budgets: Budgets
) -> dict[str, Any]:
    """Each task of every candidate, the shipped one held against its budgets, and the verdict on all."""
    tasks = prepare.tasks_of(inputs["prepare"])
    answers = prepare.answers(inputs["prepare"], "test")
    rows = {name: verify.logits(inputs[f"verify:{name}"], "test") for name in candidates}
    return report(tasks, answers, rows, shipped, budgets)


def report(
    tasks: Any, answers: Any, rows: Mapping[str, Any], shipped: str, budgets: Budgets
) -> dict[str, Any]:
    """``accuracy`` of ``--json`` for several tasks; its drop is that of the task that decides.

    Parameters
    ----------
    answers : true ones, float64 (N, tasks). rows : of each candidate (N, outputs), ``f32`` among them.
    """
    judged = by_task.judge(tasks, answers, rows["f32"], rows[shipped], budgets)
    whole, first = by_task.overall(judged), by_task.lead(judged)
    told = [
        by_task.told(
            task, number, judged[number], answers, {name: of[:, part] for name, of in rows.items()}, shipped
        )
        for number, (task, part) in enumerate(zip(tasks, slices(tasks)))
    ]
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
