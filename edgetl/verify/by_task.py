"""Tasks of one engine, each held against f32 and its budget; the verdict is a yes only where every task's is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl import asked
from edgetl.errors import InputError, did_you_mean
from edgetl.tasks import Task, scaled, slices
from edgetl.types import Record
from edgetl.verify import budget, metrics, values
from edgetl.verify.accuracy import PairedResult, paired, per_class_recall, snr_db
from edgetl.verify.budget import Verdict
from edgetl.verify.mistakes import confusion

__all__ = [
    "Budgets",
    "Judged",
    "agreement",
    "budgets_of",
    "judge",
    "lead",
    "noise",
    "overall",
    "pairs",
    "told",
    "worst",
]

Rows = npt.NDArray[Any]
_WORST_FIRST = ("over", "unproven", "within")


class Budgets(Record, frozen=True, kw_only=True):
    """Points that a task may lose: its ``own``, by its name, or else those that are ``common``; infinity lifts them."""

    common: float
    own: dict[str, float] = {}

    def of(self, task: Task) -> float:
        """Points of a task."""
        return self.own.get(task.name, self.common)

    def one(self) -> float:
        """The budget that one number for all tasks is held against: the common one, or else the tightest."""
        return self.common if math.isfinite(self.common) else min(self.own.values(), default=math.inf)


def budgets_of(tasks: Sequence[Task], common: float, own: Mapping[str, str]) -> Budgets:
    """Budgets in points.

    Parameters
    ----------
    own : of single tasks, as ``--max-drop TASK=`` has them (``asked.task_budget``).

    Raises
    ------
    InputError : one is of no task.
    """
    names = [task.name for task in tasks]
    for name in own:
        if name not in names:
            told = f"the tasks are {', '.join(names)}" if names else "there is one label column of classes"
            raise InputError(
                f"--max-drop {name}={own[name]} is of a task, and {told}.{did_you_mean(name, names)}",
                hint="--max-drop TASK=AMOUNT for each of several tasks; --max-drop 1% for all",
            )
    spreads = {task.name: task.spread if task.kind == "value" else None for task in tasks}
    points = {name: asked.task_budget(name, amount, spreads[name]) for name, amount in own.items()}
    return Budgets(common=common, own=points)


class Judged(Record, frozen=True, kw_only=True):
    """A task of the shipped engine: ``result`` against f32, ``budget_pt`` (``None``: lifted) and the verdict."""

    name: str
    result: PairedResult
    budget_pt: float | None
    verdict: str
    sentence: str


def pairs(tasks: Sequence[Task], answers: Rows, reference: Rows, candidate: Rows) -> list[PairedResult]:
    """Each task of two engines.

    Parameters
    ----------
    answers : true ones, float64 (N, tasks). reference, candidate : rows (N, outputs).
    """
    found = []
    for number, (task, part) in enumerate(zip(tasks, slices(tasks))):
        truth, before, after = answers[:, number], reference[:, part], candidate[:, part]
        if task.kind == "classes":
            found.append(paired(truth.astype(np.int64), before, after))
        else:
            before, after = before[:, 0].astype(np.float64), after[:, 0].astype(np.float64)
            found.append(values.paired(truth, before, after, task.spread))
    return found


def worst(
    tasks: Sequence[Task], answers: Rows, reference: Rows, candidate: Rows, budgets: Budgets
) -> PairedResult:
    """The task that is furthest over its budget, or nearest to it, as if all had ``budgets.one()``.

    What chooses between models compares one number with one budget: a task with another budget of its own has its
    drop moved by the difference. ``agreement`` is that of all tasks' classes together, ``snr_db`` that of whole rows.
    """
    found = pairs(tasks, answers, reference, candidate)
    able = [number for number, task in enumerate(tasks) if not math.isinf(budgets.of(task))]
    moved = {
        n: found[n].drop_pt - (budgets.of(tasks[n]) - budgets.one() if able else 0.0)
        for n in able or range(len(tasks))
    }
    first = max(moved, key=lambda number: moved[number])
    shift = moved[first] - found[first].drop_pt
    low, high = found[first].drop_ci95_pt
    return msgspec.structs.replace(
        found[first],
        drop_pt=moved[first],
        drop_ci95_pt=(low + shift, high + shift),
        agreement=agreement(tasks, reference, candidate),
        snr_db=noise(tasks, reference, candidate),
    )


def noise(tasks: Sequence[Task], reference: Rows, candidate: Rows) -> float | None:
    """Signal to noise of whole rows (N, outputs) in dB, each value in its spread; ``None`` where they are equal."""
    return snr_db(*(scaled(tasks, rows).astype(np.float32) for rows in (reference, candidate)))


def agreement(tasks: Sequence[Task], reference: Rows, candidate: Rows) -> float:
    """Share of pictures that both give the same classes; 1 where there are none."""
    same = np.ones(len(reference), bool)
    for task, part in zip(tasks, slices(tasks)):
        if task.kind == "classes":
            same &= reference[:, part].argmax(axis=1) == candidate[:, part].argmax(axis=1)
    return float(same.mean())


def judge(
    tasks: Sequence[Task], answers: Rows, reference: Rows, candidate: Rows, budgets: Budgets
) -> list[Judged]:
    """Hold each task against its budget."""
    found = []
    for task, result in zip(tasks, pairs(tasks, answers, reference, candidate)):
        limit = budgets.of(task)
        if task.kind == "classes":
            verdict = budget.judge(result, max_drop_pt=limit)
        else:
            verdict = _judge_value(task, result, limit)
        found.append(
            Judged(
                name=task.name,
                result=result,
                budget_pt=None if math.isinf(limit) else limit,
                verdict=verdict.verdict,
                sentence=verdict.sentence,
            )
        )
    return found


def _judge_value(task: Task, result: PairedResult, limit: float) -> Verdict:
    """As ``budget.judge``, in the value's own unit, with the points beside it."""
    unit = task.spread / 100
    low, high = (end * unit for end in result.drop_ci95_pt)
    moved = "rises" if result.drop_pt > 0 else "falls"
    rise = f"MAE {moved} by {abs(result.drop_pt) * unit:.3g} ({abs(result.drop_pt):.2f} points)"
    rise += f", 95 % interval [{low:+.3g}, {high:+.3g}]"
    if math.isinf(limit):
        return Verdict(verdict="within", sentence=f"{rise}, no budget; {result.n} images")
    rise += f", budget {limit * unit:.3g} ({limit:.2f} points)"
    if result.drop_pt > limit:
        return Verdict(verdict="over", sentence=f"{rise}: over; {result.n} images")
    if result.drop_ci95_pt[1] <= limit and result.n >= values.LEAST_PROOF:
        return Verdict(verdict="within", sentence=f"{rise}: within, proven on {result.n} images")
    needed = values.pictures_needed(result, limit)
    would = f", about {needed} would" if needed else ""
    return Verdict(verdict="unproven", sentence=f"{rise}: within; {result.n} images cannot prove it{would}")


def lead(judged: Sequence[Judged]) -> Judged:
    """The task that decides: the worst verdict, and of those the one with the least room."""

    def room(one: Judged) -> float:
        return math.inf if one.budget_pt is None else one.budget_pt - one.result.drop_pt

    return min(judged, key=lambda one: (_WORST_FIRST.index(one.verdict), room(one)))


def overall(judged: Sequence[Judged]) -> Verdict:
    """Over where a task is, and then it is named; within where every task is."""
    first = lead(judged)
    if first.verdict == "over":
        over = [one.name for one in judged if one.verdict == "over"]
        others = f" ({', '.join(over)} are over)" if len(over) > 1 else ""
        return Verdict(verdict="over", sentence=f"{first.name}: {first.sentence}{others}")
    unproven = [one.name for one in judged if one.verdict == "unproven"]
    if unproven:
        sentence = f"every task is within its budget, not proven for {', '.join(unproven)}"
        return Verdict(verdict="unproven", sentence=sentence)
    return Verdict(verdict="within", sentence="every task is within its budget")


def told(
    task: Task, number: int, judged: Judged, answers: Rows, rows: Mapping[str, Rows], shipped: str
) -> dict[str, Any]:
    """What ``--json`` says of a task, and its ``lines`` for a summary.

    Parameters
    ----------
    number : its column of ``answers`` (N, tasks). rows : of each candidate, (N, outputs), ``f32`` among them, cut to
        the task's own part. shipped : the candidate.
    """
    truth, result = answers[:, number], judged.result
    data: dict[str, Any] = {
        "name": task.name,
        "kind": task.kind,
        "n": result.n,
        "drop_pt": result.drop_pt,
        "drop_ci95_pt": list(result.drop_ci95_pt),
        "budget_pt": judged.budget_pt,
        "verdict": judged.verdict,
        "sentence": judged.sentence,
    }
    if task.kind == "value":
        return data | _value_facts(task, truth, rows, shipped) | {"drop": result.drop_pt * task.spread / 100}
    return data | _class_facts(task, truth.astype(np.int64), rows, shipped)


def _value_facts(task: Task, truth: Rows, rows: Mapping[str, Rows], shipped: str) -> dict[str, Any]:
    found = {
        name: values.measure(truth, answered[:, 0].astype(np.float64)) for name, answered in rows.items()
    }
    mine, before = found[shipped], found["f32"]
    r2 = "" if mine.r2 is None else f", R2 {mine.r2.said()}"
    lines = [f"MAE {mine.mae.said()} (f32 {before.mae.value:.4g}){r2}, {mine.n} images"]
    return {
        "spread": task.spread,
        "mae": {_key(name): one.mae.value for name, one in found.items()} | {"shipped": mine.mae.value},
        "values": {"shipped": msgspec.to_builtins(mine), "fp32": msgspec.to_builtins(before)},
        "lines": lines,
    }


def _class_facts(task: Task, labels: Rows, rows: Mapping[str, Rows], shipped: str) -> dict[str, Any]:
    recall = per_class_recall(labels, rows[shipped], task.labels)
    found = {
        side: metrics.measure(labels, rows[name], task.labels)
        for side, name in (("shipped", shipped), ("fp32", "f32"))
    }
    ranking = metrics.lines(found["shipped"], found["fp32"], None)
    accuracy = {name: float((answered.argmax(axis=1) == labels).mean()) for name, answered in rows.items()}
    return {
        "labels": list(task.labels),
        **{_key(name): value for name, value in accuracy.items()},
        "shipped": accuracy[shipped],
        "per_class_recall": recall.rows,
        "worst_class": recall.sentence,
        "confusion": confusion(labels, rows[shipped]),
        "metrics": msgspec.to_builtins(found),
        "ranking": ranking,
        "lines": [recall.sentence, *ranking],
    }


def _key(candidate: str) -> str:
    return "fp32" if candidate == "f32" else candidate
