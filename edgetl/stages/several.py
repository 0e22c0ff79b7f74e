"""What several tasks, or one of values, cannot be asked together with: refused before work begins."""

from __future__ import annotations

from collections.abc import Sequence

from edgetl.errors import InputError, did_you_mean
from edgetl.tasks import Task
from edgetl.transfer.methods.known import METHODS, TAUGHT
from edgetl.types import BuildSpec

__all__ = ["check", "refuse"]


def check(spec: BuildSpec, tasks: Sequence[Task]) -> None:
    """Refuse methods and options that are about one class alone, and budgets of tasks that are not there.

    Raises
    ------
    InputError : names the option, the tasks, and what fits.
    """
    names = [task.name for task in tasks]
    for name in spec.max_drops:
        if name not in names:
            told = (
                f"the tasks are {', '.join(names)}" if names else "the data has one label column of classes"
            )
            raise InputError(
                f"--max-drop {name}={spec.max_drops[name]:g} is of a task, and {told}.{did_you_mean(name, names)}",
                hint="--max-drop TASK=AMOUNT for each of several tasks; --max-drop 1% for all",
            )
    if not tasks:
        return
    if spec.method in TAUGHT:
        fits = ", ".join(name for name in METHODS if name not in TAUGHT)
        raise InputError(
            f"--method {spec.method} learns what a teacher answers to one class label, and {_asked(tasks)}",
            hint=f"--method is one of {fits}",
        )
    for option, given, without in (
        ("--optimize", spec.optimize is not None, "chooses the threshold of one label of two classes"),
        ("--adapt", spec.adapt is not None, "fits a network of one class label to another place"),
        ("--compare", spec.compare is not None, "compares the accuracy of one class label"),
        ("--seeds", spec.seeds > 1, "chooses a seed by the accuracy of one class label"),
        ("--fused-head", spec.fused_head, "is the head of one class label"),
        ("--imbalance sampling", spec.imbalance == "sampling", "draws pictures by one class label"),
    ):
        if given:
            hint = "--imbalance weights" if option.startswith("--imbalance") else f"without {option}"
            raise InputError(
                f"{option} {without}, and {_asked(tasks)}", hint=f"{hint}, or one --label-column of classes"
            )


def refuse(tasks: Sequence[Task], command: str) -> None:
    """Refuse several tasks, or one of values, where a command is about one class label.

    Raises
    ------
    InputError : names the command and the tasks.
    """
    if tasks:
        raise InputError(
            f"{command} is of one class label, and {_asked(tasks)}", hint="one --label-column of classes"
        )


def _asked(tasks: Sequence[Task]) -> str:
    return f"the labels are {', '.join(task.said() for task in tasks)}"
