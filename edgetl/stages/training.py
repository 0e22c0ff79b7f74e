"""What is around the training of a method: its teacher before it, several seeds, and the comparison after it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgetl.data.layout import Dataset
from edgetl.devices import DeviceProfile
from edgetl.errors import InputError
from edgetl.pipeline import Stage
from edgetl.stages import auto, backbone, compare, learning, seeds, teacher
from edgetl.stages.train import Setting
from edgetl.transfer.methods.known import TAUGHT
from edgetl.types import BuildSpec

__all__ = ["check", "stages"]


def check(spec: BuildSpec) -> None:
    """Refuse options that the method does not take, and values that it cannot use.

    Raises
    ------
    InputError : names the option, and the methods that take it.
    """
    if spec.method not in TAUGHT:
        for option, given in (
            ("--teacher", spec.teacher is not None),
            ("--teacher-weights", spec.teacher_weights != "DEFAULT"),
        ):
            if given:
                raise InputError(
                    f"--method {spec.method} has no teacher, and {option} was given",
                    hint=f"--method {' or '.join(TAUGHT)}",
                )
    if spec.teacher is None and spec.teacher_weights != "DEFAULT":
        raise InputError("--teacher-weights is of a --teacher, and none was given", hint="--teacher NAME")
    if spec.kd_temperature is not None:
        _check_temperature(spec, spec.kd_temperature)
    if spec.seeds > 1 and spec.method == "feature":
        raise InputError(
            f"--seeds {spec.seeds} has no spread to show: the head of --method feature is the one best fit, "
            "whatever the seed",
            hint="--method full, or without --seeds",
        )
    if spec.compare is not None:
        _check_compare(spec, spec.compare)


def _check_temperature(spec: BuildSpec, temperature: float) -> None:
    if spec.method not in TAUGHT:
        raise InputError(
            f"--method {spec.method} softens no answers, and --kd-temperature was given",
            hint=f"--method {' or '.join(TAUGHT)}",
        )
    if not 0 < temperature < math.inf:
        raise InputError(
            f"--kd-temperature {temperature:g} is not a temperature: it is above 0",
            hint="--kd-temperature 4; 1 takes the teacher's answers as they are",
        )


def _check_compare(spec: BuildSpec, reference: str) -> None:
    if reference not in compare.REFERENCES:
        raise InputError(
            f"--compare {reference!r} is not known", hint=f"--compare {' or '.join(compare.REFERENCES)}"
        )
    if backbone.is_random(spec):
        named = "--weights none" if spec.weights == "none" else f"{spec.model} without a weights file"
        raise InputError(
            f"--compare scratch says what pretrained weights brought, and {named} has none",
            hint="--weights FILE, or another --model",
        )


def _check_spread(spec: BuildSpec, labels: Sequence[int]) -> None:
    """``auto`` below the labels to fine-tune with is ``feature``; from random weights it is ``full``."""
    if spec.method == "auto" and not backbone.is_random(spec) and not auto.tunes(labels):
        raise InputError(
            f"--seeds {spec.seeds} has no spread to show: {min(labels)} labels of the rarest class are too few to "
            "fine-tune, and the head of --method auto is then the one best fit, whatever the seed",
            hint=f"--method full, without --seeds, or {auto.LEAST_LABELS} labels of each class to train on",
        )


def stages(spec: BuildSpec, setting: Setting, runs_on: DeviceProfile, dataset: Dataset) -> list[Stage]:
    """The stages after ``prepare``: one called ``train`` leaves the checkpoint, ``compare`` says what it is worth.

    Parameters
    ----------
    runs_on : profile whose f32 engine computes features.

    Raises
    ------
    InputError, BundleError : the teacher is not usable, the method starts from trained weights and there are none, or
        all seeds would come to the same.
    EnvironmentLacks : a library that the method takes is not installed.
    """
    labels = dataset.labels_to_train_on()
    taught = teacher.stages(spec, setting, runs_on, dataset.classes) if spec.method in TAUGHT else []
    *before, trained = learning.stages(spec, setting, runs_on, labels)
    last = [trained]
    if spec.seeds > 1:
        _check_spread(spec, labels)
        last = seeds.stages(spec, lambda one: learning.stages(one, setting, runs_on, labels)[-1])
    after = compare.stages(spec, setting, runs_on) if spec.compare is not None else []
    return [*before, *taught, *last, *after]
