"""What was asked of the stages, refused before work begins where they could not give it."""

from __future__ import annotations

from collections.abc import Sequence

from edgetl import asked, devices
from edgetl.data import imbalance
from edgetl.errors import InputError
from edgetl.stages import calibrate
from edgetl.transfer.policy import POLICIES
from edgetl.types import BuildSpec

__all__ = ["check", "check_classes"]


def check(spec: BuildSpec) -> None:
    """Refuse ways to train, to calibrate and to decide that are not known, or do not fit each other.

    Raises
    ------
    InputError : names the option, and what fits.
    """
    asked.choice(spec.precision, devices.PRECISIONS, "--precision")
    asked.choice(spec.calib_method, calibrate.METHODS, "--calib-method")
    asked.choice(spec.calib_select, calibrate.SELECTIONS, "--calib-select")
    asked.choice(spec.imbalance, imbalance.WAYS, "--imbalance")
    asked.choice(spec.augment, POLICIES, "--augment")
    if spec.method == "feature" and spec.augment in ("light", "strong"):
        raise InputError(
            f"--augment {spec.augment} varies the pictures of each epoch, and --method feature reads each picture once",
            hint="--method full",
        )
    if spec.method == "feature" and spec.imbalance == "sampling":
        raise InputError(
            "--imbalance sampling draws the pictures of each step, and --method feature takes no steps",
            hint="--imbalance weights, or --method full",
        )
    if spec.optimize is not None:
        asked.objective(spec.optimize)
        if spec.adapt is not None:
            raise InputError(
                f"--optimize {spec.optimize} chooses a threshold on labelled select images, and --adapt has none of "
                "the place that the engine is for: one chosen elsewhere would not hold there",
                hint="without --optimize the likelier class is answered; or --data with labelled pictures of there",
            )
    elif spec.positive is not None:
        raise InputError(
            f"--positive {spec.positive} names the class that --optimize is about, which is not given",
            hint="--optimize recall@0.95",
        )


def check_classes(spec: BuildSpec, classes: Sequence[str]) -> None:
    """Refuse what the classes do not allow: a threshold takes two, and one of them to be the positive.

    Raises
    ------
    InputError : there are more, or ``--positive`` is none of them.
    """
    if spec.optimize is None:
        return
    if len(classes) != 2:
        raise InputError(
            f"--optimize {spec.optimize} chooses a threshold between two classes, the data has {len(classes)}",
            hint="two class folders, or --label-column with a column of two values",
        )
    if spec.positive is not None:
        asked.choice(spec.positive, classes, "--positive")
