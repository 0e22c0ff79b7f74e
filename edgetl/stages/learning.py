"""Which stages lead from the prepared pictures to a checkpoint, by the method of the request."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from edgetl.devices import DeviceProfile
from edgetl.errors import InputError
from edgetl.pipeline import Stage
from edgetl.stages import auto, backbone, features, train
from edgetl.stages.train import Setting
from edgetl.transfer.methods.known import METHODS, PROBE
from edgetl.types import BuildSpec

__all__ = ["reads_features", "stages"]


def reads_features(spec: BuildSpec) -> bool:
    """Whether the frozen body's features are computed on the way."""
    return spec.method == "feature" or (PROBE in METHODS[spec.method].needs and not backbone.is_random(spec))


def stages(spec: BuildSpec, setting: Setting, runs_on: DeviceProfile, labels: Sequence[int]) -> list[Stage]:
    """The stages after ``prepare``; the one called ``train`` leaves the checkpoint.

    Parameters
    ----------
    runs_on : profile whose f32 engine computes features. labels : pictures of each class to train on.

    Raises
    ------
    InputError : the method starts from trained weights, and there are none.
    EnvironmentLacks : a library that the method takes is not installed.
    """
    fast = train.fast_path_stage(spec, setting)
    if spec.method != "feature" and PROBE not in METHODS[spec.method].needs:
        return [fast, train.trained_stage(spec, setting)]
    if spec.method == "auto" and backbone.is_random(spec):
        full = msgspec.structs.replace(spec, method="full")
        return [fast, train.trained_stage(full, setting, why=auto.FROM_SCRATCH)]
    computed = features.stage(runs_on, setting.host)
    if spec.method == "feature":
        return [computed, train.feature_stage(spec)]
    if backbone.is_random(spec):
        raise InputError(
            f"--method {spec.method} keeps most of what the weights know, and {spec.model} has random ones",
            hint="--method full trains from scratch; or --weights FILE",
        )
    probe = train.feature_stage(spec, name=PROBE)
    if spec.method == "auto":
        timed = [fast] if auto.tunes(labels) else []
        return [computed, probe, *timed, auto.stage(spec, setting, labels)]
    return [computed, probe, fast, train.trained_stage(spec, setting)]
