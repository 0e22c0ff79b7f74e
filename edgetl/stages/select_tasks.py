"""What the ``select`` stage reports of several tasks, on the ``test`` images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgetl.pipeline import Artifact
from edgetl.stages import prepare, verify
from edgetl.verify import several
from edgetl.verify.by_task import Budgets

__all__ = ["accuracy"]


def accuracy(
    inputs: Mapping[str, Artifact], candidates: Sequence[str], shipped: str, budgets: Budgets
) -> dict[str, Any]:
    """Each task of every candidate, the shipped one held against its budgets, and the verdict on all."""
    tasks = prepare.tasks_of(inputs["prepare"])
    answers = prepare.answers(inputs["prepare"], "test")
    rows = {name: verify.logits(inputs[f"verify:{name}"], "test") for name in candidates}
    return several.report(tasks, answers, rows, shipped, budgets)
