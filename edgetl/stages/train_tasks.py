"""A head on frozen features for several tasks: what the ``train`` stage of ``--method feature`` does with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgetl.data.balances import of_answers
from edgetl.pipeline import Artifact
from edgetl.stages import prepare
from edgetl.stages.check import groups_of
from edgetl.types import BuildSpec

__all__ = ["fit"]


def fit(
    spec: BuildSpec, inputs: Mapping[str, Artifact], record: Any, pictures: Any, out: Path
) -> dict[str, Any]:
    """Fit each task's part of the head and write the checkpoint; the stage's record.

    Parameters
    ----------
    record : ``transfer.checkpoint.Checkpoint`` of it. pictures : that travel with it, uint8 (N, H, W, 3).
    """
    from edgetl.transfer import checkpoint
    from edgetl.transfer.backbone import create
    from edgetl.transfer.goals import Several, unfolded
    from edgetl.transfer.methods.feature_tasks import fit_tasks

    tasks = prepare.tasks_of(inputs["prepare"])
    train, held = (np.load(inputs["features"].path / f"{role}.npy") for role in ("train", "select"))
    answers = prepare.answers(inputs["prepare"], "train")
    balances = of_answers(spec.imbalance, tasks, answers)
    weights = balances.weights()
    heads = fit_tasks(
        train, answers, tasks, spec.seed, groups=groups_of(inputs["check"], "train"), weights=weights
    )
    weight = np.concatenate([heads[task.name].weight for task in tasks])
    bias = np.concatenate([heads[task.name].bias for task in tasks])
    goal, score = Several(tasks, weights), None
    if len(held):
        scaled_weight, scaled_bias = unfolded(weight, bias, tasks)
        score = goal.score(held @ scaled_weight.T + scaled_bias, prepare.answers(inputs["prepare"], "select"))
    net = create(spec, len(bias)).net
    checkpoint.set_head(net, weight, bias)
    found = msgspec.structs.replace(
        record,
        history=[{"select_score": score, **{f"cv {name}": head.scores for name, head in heads.items()}}],
        choices={
            "strength": {name: head.strength for name, head in heads.items()},
            "imbalance": msgspec.to_builtins(balances.by_task),
        },
    )
    checkpoint.save(net, found, pictures, out)
    np.savez(out / checkpoint.HEAD, weight=weight, bias=bias)
    said = "n/a" if score is None else f"{100 * score:.1f} of 100"
    return {
        "summary": f"{spec.model}, feature method, {len(tasks)} task{'s' if len(tasks) > 1 else ''}{balances.said()} "
        f"· select score {said}",
        "select_accuracy": score,
        "select_score": score,
        "cv_accuracy": None,
        "strength": {name: head.strength for name, head in heads.items()},
        "training": {"augment": None, "imbalance": msgspec.to_builtins(balances.by_task)},
        "notes": balances.notes(),
    }
