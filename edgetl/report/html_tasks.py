"""The sections of a page on several tasks of one engine: all of them together, then each."""

from __future__ import annotations

from edgetl.candidate import spoken
from edgetl.report import pictures_accuracy
from edgetl.report.html_facts import Facts
from edgetl.report.html_parts import Card, Section, Table
from edgetl.report.task_facts import TaskFacts

__all__ = ["cards", "sections"]

VERDICTS = {"over": "over", "unproven": "within, not proven", "within": "within"}


def cards(facts: Facts) -> list[Card]:
    """What each task came to."""
    reference = " of a reference" if facts.results.accuracy.reference_only else ""
    return [
        Card(_figure(task, task.shipped_figure()), f"{_measure(task)}{reference}", task.name)
        for task in facts.tasks()
    ]


def sections(facts: Facts) -> list[Section]:
    """The tasks against their budgets, and a section for each."""
    accuracy = facts.results.accuracy
    heads = ("task", "measure", "f32", spoken(facts.shipped), "points lost, 95 % interval", "budget", "")
    rows = [
        (
            task.name,
            _measure(task),
            _figure(task, task.reference_figure()),
            _figure(task, task.shipped_figure()),
            f"{task.drop_pt:.2f} [{task.drop_ci95_pt[0]:+.1f}, {task.drop_ci95_pt[1]:+.1f}]",
            "none" if task.budget_pt is None else f"{task.budget_pt:.2f}",
            VERDICTS.get(task.verdict, task.verdict),
        )
        for task in facts.tasks()
    ]
    drawn = [
        pictures_accuracy.drop(task.drop_pt, task.drop_ci95_pt, task.budget_pt, _title(task), _points(task))
        for task in facts.tasks()
    ]
    lines = [
        accuracy.sentence,
        "a point is one image in a hundred; of a value, one percent of the error of always answering the median",
    ]
    whole = Section("accuracy", "Accuracy", drawn, lines, [Table(heads, rows, (2, 3, 4, 5))])
    return [whole, *(_one(task, number) for number, task in enumerate(facts.tasks()))]


def _one(task: TaskFacts, number: int) -> Section:
    """Which class is taken for which; of a value, how far it is off."""
    drawn = []
    if task.confusion and len(task.labels) <= pictures_accuracy.MOST_CLASSES:
        drawn.append(pictures_accuracy.confusion(task.confusion, task.labels))
    lines = [task.sentence, *(line for line in task.lines if line)]
    return Section(f"task-{number}", task.name, drawn, lines)


def _title(task: TaskFacts) -> str:
    lost = task.drop_pt
    said = (
        f"loses {lost:.2f} points" if lost > 0 else f"gains {-lost:.2f} points" if lost else "loses nothing"
    )
    return f"{task.name} {said}: {VERDICTS.get(task.verdict, task.verdict)}"


def _points(task: TaskFacts) -> str:
    return "points of the spread" if task.kind == "value" else "points of top-1"


def _measure(task: TaskFacts) -> str:
    return "mean absolute error" if task.kind == "value" else "top-1"


def _figure(task: TaskFacts, found: float | None) -> str:
    if found is None:
        return "n/a"
    return f"{found:.4g}" if task.kind == "value" else f"{100 * found:.1f} %"
