"""Several tasks held against f32: the one that is broken is named, and the verdict is a yes only where all are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from edgetl.errors import InputError
from edgetl.tasks import Task
from edgetl.verify import by_task, several
from edgetl.verify.by_task import Budgets

TASKS = (
    Task(name="kind", kind="classes", labels=("cat", "dog")),
    Task(name="colour", kind="classes", labels=("grey", "red", "tan")),
    Task(name="age", kind="value", mean=40.0, std=12.0, spread=10.0),
)
COUNT = 200


def world(seed: int = 0) -> tuple[Any, Any]:
    """True answers (N, tasks), and rows (N, outputs) of a good network."""
    rng = np.random.default_rng(seed)
    answers = np.stack(
        [rng.integers(0, 2, COUNT), rng.integers(0, 3, COUNT), rng.normal(40, 12, COUNT)], axis=1
    )
    rows = np.concatenate(
        [
            6 * np.eye(2)[answers[:, 0].astype(int)],
            6 * np.eye(3)[answers[:, 1].astype(int)],
            answers[:, 2:] + rng.normal(0, 1, (COUNT, 1)),
        ],
        axis=1,
    )
    return answers, rows.astype(np.float32)


def broken(rows: Any, task: str) -> Any:
    spoilt = rows.copy()
    if task == "kind":
        spoilt[:20, :2] = spoilt[:20, 1::-1]
    elif task == "colour":
        spoilt[:20, 2:5] = np.roll(spoilt[:20, 2:5], 1, axis=1)
    else:
        spoilt[:, 5] += 4 * np.sign(np.arange(COUNT) % 2 - 0.5)
    return spoilt


@pytest.mark.parametrize("task", ["kind", "colour", "age"])
def test_the_task_that_is_broken_is_named_and_the_others_hold(task: str) -> None:
    answers, rows = world()
    judged = by_task.judge(TASKS, answers, rows, broken(rows, task), Budgets(common=1.0))
    assert {one.name: one.verdict for one in judged if one.verdict == "over"} == {task: "over"}
    whole = by_task.overall(judged)
    assert whole.verdict == "over" and whole.sentence.startswith(f"{task}: ")
    lost = by_task.worst(TASKS, answers, rows, broken(rows, task), Budgets(common=1.0))
    assert lost.drop_pt == pytest.approx(max(one.result.drop_pt for one in judged)) and lost.drop_pt > 1


def test_all_that_are_over_are_named() -> None:
    answers, rows = world()
    judged = by_task.judge(TASKS, answers, rows, broken(broken(rows, "age"), "kind"), Budgets(common=1.0))
    assert "kind, age are over" in by_task.overall(judged).sentence


def test_equal_engines_hold_every_budget_and_few_images_cannot_prove_it() -> None:
    answers, rows = world()
    judged = by_task.judge(TASKS, answers, rows, rows, Budgets(common=1.0))
    assert [one.verdict for one in judged] == ["unproven", "unproven", "within"]
    assert by_task.overall(judged).sentence == "every task is within its budget, not proven for kind, colour"
    lifted = by_task.overall(by_task.judge(TASKS, answers, rows, rows, Budgets(common=math.inf)))
    assert lifted.verdict == "within"
    few = by_task.judge(TASKS, answers[:29], rows[:29], rows[:29], Budgets(common=1.0))
    assert few[2].verdict == "unproven" and "about 30 would" in few[2].sentence


@pytest.mark.parametrize(
    ("amount", "verdict"), [("0.1", "over"), ("100%", "within"), ("none", "within"), ("5", "within")]
)
def test_a_task_may_have_a_budget_of_its_own(amount: str, verdict: str) -> None:
    answers, rows = world()
    budgets = by_task.budgets_of(TASKS, 1.0, {"age": amount})
    judged = {one.name: one for one in by_task.judge(TASKS, answers, rows, broken(rows, "age"), budgets)}
    assert judged["age"].verdict == verdict
    lost = by_task.worst(TASKS, answers, rows, broken(rows, "age"), budgets).drop_pt
    assert (lost > budgets.one()) == (verdict == "over")


def test_own_budgets_alone_decide_where_the_common_one_is_lifted() -> None:
    answers, rows = world()
    budgets = by_task.budgets_of(TASKS, math.inf, {"age": "0.5"})
    assert budgets.one() == pytest.approx(5) and budgets.of(TASKS[2]) == pytest.approx(5)
    for task in ("kind", "age"):
        lost = by_task.worst(TASKS, answers, rows, broken(rows, task), budgets).drop_pt
        assert (lost > budgets.one()) == (task == "age")


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"agee": "1"}, "Did you mean 'age'?"),
        ({"age": "much"}, "'much' is not a budget"),
        ({"age": "-1"}, "not a budget"),
    ],
)
def test_budgets_that_cannot_be_meant_are_refused(own: dict[str, str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        by_task.budgets_of(TASKS, 1.0, own)
    assert words in caught.value.problem


def test_noise_in_a_class_is_heard_beside_a_value_of_large_numbers() -> None:
    large = (TASKS[0], Task(name="height", kind="value", mean=1e5, std=10.0, spread=10.0))
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(0, 3, (50, 2)), rng.normal(1e5, 10, (50, 1))], axis=1)
    noisy = rows + np.array([1.0, -1.0, 0.0])
    noise = by_task.noise(large, rows, noisy)
    assert noise is not None and noise < 15


def test_what_is_told_of_each_task_is_of_its_kind() -> None:
    answers, rows = world()
    found = several.report(
        TASKS, answers, {"f32": rows, "int8": broken(rows, "age")}, "int8", Budgets(common=1.0)
    )
    kind, _, age = found["tasks"]
    assert (
        kind["shipped"] == kind["fp32"] == 1
        and kind["labels"] == ["cat", "dog"]
        and len(kind["confusion"]) == 2
    )
    assert age["mae"]["shipped"] > 3 > age["mae"]["fp32"] and age["values"]["shipped"]["r2"]["value"] < 1
    assert found["decided_by"] == "age" and found["verdict"] == "over"
