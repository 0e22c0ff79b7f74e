"""Several tasks in the summary of a build: a column for each in the table, and what each came to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["columns", "figure", "lines"]


def figure(task: Mapping[str, Any], candidate: str) -> str:
    """What a candidate came to in a task: an accuracy, or a mean absolute error; ``fp32`` is f32."""
    found = task.get("mae", task).get(candidate)
    if found is None:
        return "n/a"
    return f"{found:.4g}" if task["kind"] == "value" else f"{100 * found:.1f} %"


def columns(result: Mapping[str, Any]) -> list[tuple[str, Mapping[str, str]]]:
    """A heading and the figures by candidate for each task; of one class label there is one, its accuracy."""
    names = {name: "fp32" if name == "f32" else name for name in result["size_bytes"]}
    tasks = result["accuracy"].get("tasks")
    if not tasks:
        found = {name: result["accuracy"].get(key) for name, key in names.items()}
        return [("accuracy", {k: "n/a" if v is None else f"{100 * v:.1f} %" for k, v in found.items()})]
    return [
        (
            f"{task['name']} MAE" if task["kind"] == "value" else task["name"],
            {k: figure(task, n) for k, n in names.items()},
        )
        for task in tasks
    ]


def lines(accuracy: Mapping[str, Any]) -> list[str]:
    """Each task against its budget, with what else is to be said of it, then the verdict on all."""
    out = []
    for task in accuracy["tasks"]:
        out.append(f"  {task['name']}: {task['sentence']}")
        out += [f"    {line}" for line in task["lines"] if line]
    return [*out, f"  {accuracy['sentence']}"]
