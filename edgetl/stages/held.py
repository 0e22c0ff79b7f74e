"""Two engines on the same pictures, whether the network answers one class or several tasks."""

from __future__ import annotations

import math
from typing import Any

import numpy.typing as npt

from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact
from edgetl.stages import prepare
from edgetl.tasks import Tasks
from edgetl.types import BuildSpec, Role
from edgetl.verify import by_task
from edgetl.verify.accuracy import PairedResult, paired
from edgetl.verify.by_task import Budgets

__all__ = ["LIFTED", "against", "budgets_of"]

Rows = npt.NDArray[Any]
LIFTED = Budgets(common=math.inf)


def against(
    prepared: Artifact, role: Role, reference: Rows, found: Rows, budgets: Budgets = LIFTED
) -> PairedResult:
    """What an engine loses against another: of one class points of top-1, of several tasks those of the worst.

    Parameters
    ----------
    prepared : artifact of ``prepare``. reference, found : rows (N, outputs) of the first pictures of the role.
    budgets : by which the worst task is told.
    """
    tasks = prepare.tasks_of(prepared)
    if not tasks:
        return paired(prepare.labels(prepared, role)[: len(found)], reference, found)
    answers = prepare.answers(prepared, role)[: len(found)]
    return by_task.worst(tasks, answers, reference, found, budgets)


def budgets_of(spec: BuildSpec, profile: DeviceProfile, tasks: Tasks) -> Budgets:
    """Points that may be lost: as asked for, else the profile's."""
    common = profile.budgets.max_drop if spec.max_drop is None else spec.max_drop
    return by_task.budgets_of(tasks, common, spec.max_drops)
