"""Several tasks in a summary: a column for each, a line for each, and the verdict on all."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgetl.report import summary, tasks
from edgetl.tasks import Task
from edgetl.verify import several
from edgetl.verify.by_task import Budgets

TASKS = (
    Task(name="kind", kind="classes", labels=("cat", "dog")),
    Task(name="age", kind="value", mean=40.0, std=12.0, spread=10.0),
)


def result() -> dict[str, Any]:
    answers = np.array([[0, 30.0], [1, 50.0], [1, 41.0], [0, 44.0]])
    right = np.array([[4, 0, 31.0], [0, 4, 49.0], [0, 4, 42.0], [4, 0, 43.0]], np.float32)
    wrong = right + np.array([[-8, 8, 2.0], [0, 0, 0], [0, 0, 0], [0, 0, 0]], np.float32)
    rows = {"f32": right, "default": right, "int8": wrong}
    return {
        "accuracy": several.report(TASKS, answers, rows, "int8", Budgets(common=1.0)),
        "size_bytes": dict.fromkeys(rows, 1000),
        "latency_ms": {},
        "remarks": {},
        "shipped": {"candidate": "int8"},
    }


def test_the_table_has_a_column_for_each_task() -> None:
    head, f32, _, int8 = summary.table(result())
    assert head.split()[:3] == ["kind", "age", "MAE"]
    assert "100.0 %" in f32 and " 1 " in f32
    assert int8.startswith("▸") and "75.0 %" in int8 and "1.5" in int8


def test_each_task_is_told_and_the_one_that_is_over_named() -> None:
    told = summary.accuracy_lines(result())
    assert told[0].startswith("  kind: drop 25.00 points") and "over" in told[0]
    assert any(line.startswith("  age: MAE rises by 0.5 (5.00 points)") for line in told)
    assert told[-1].startswith("  kind: ") and "kind, age are over" in told[-1]


def test_one_label_has_the_column_that_it_always_had() -> None:
    found = result() | {"accuracy": {"fp32": 0.9, "int8": 0.5}}
    assert tasks.columns(found) == [("accuracy", {"f32": "90.0 %", "default": "n/a", "int8": "50.0 %"})]
