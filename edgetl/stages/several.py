"""What several tasks, or one of values, cannot be asked together with: refused before work begins."""

from __future__ import annotations

from collections.abc import Sequence

from edgetl.errors import InputError
from edgetl.tasks import Task
from edgetl.transfer.methods.known import METHODS, TAUGHT
from edgetl.types import BuildSpec

__all__ = ["check", "refuse", "refuse_others"]


def check(spec: BuildSpec, tasks: Sequence[Task]) -> None:
    """Refuse methods and options that are about one class label.

    Raises
    ------
    InputError : names the option, the tasks, and what fits.
    """
    if not tasks:
        return
    constant = next((task.name for task in tasks if not task.spread > 0), None)
    if constant is not None:
        raise InputError(
            f"column {constant!r} has one value only on the pictures to train on: there is nothing to predict",
            hint="leave that --label-column out",
        )
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


def refuse_others(wanted: Sequence[Task], found: Sequence[Task], source: str) -> None:
    """Refuse data whose labels are not a bundle's tasks.

    Raises
    ------
    InputError : names both.
    """
    told = ", ".join(task.said() for task in found) or "one class label"
    raise InputError(
        f"{source} has {told}, the bundle {', '.join(task.said() for task in wanted)}",
        hint="the columns and the classes in them must be those of the training data",
    )


def _asked(tasks: Sequence[Task]) -> str:
    return f"the labels are {', '.join(task.said() for task in tasks)}"
