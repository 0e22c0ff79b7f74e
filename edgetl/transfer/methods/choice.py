"""The method that a request names, ready for the trainer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from edgetl.tasks import Tasks
from edgetl.transfer import probe
from edgetl.transfer.goals import Goal, unfolded
from edgetl.transfer.methods.discriminative import Discriminative
from edgetl.transfer.methods.distill import TEMPERATURE, Distill, Relational
from edgetl.transfer.methods.full import BODY_SHARE, Full
from edgetl.transfer.methods.known import PROBE, TAUGHT
from edgetl.transfer.methods.lora import Lora
from edgetl.transfer.methods.losses import Counted
from edgetl.transfer.methods.norm import Norm
from edgetl.transfer.methods.seam import Method
from edgetl.types import BuildSpec

__all__ = ["of"]


def of(
    spec: BuildSpec,
    size: int,
    given: Mapping[str, Path],
    weights: Tensor | None = None,
    *,
    pretrained: bool,
    tasks: Tasks = (),
    goal: Goal | None = None,
    counted: Counted = Tensor.sum,
) -> Method:
    """The method of ``spec.method``, with what the request says of its rates.

    Parameters
    ----------
    size : side of the pictures, in pixels.
    given : folders of the stages that ``known.METHODS`` says it needs, by name.
    pretrained : the body's weights are worth keeping, so that training all of them goes gently.
    weights : of each class in its loss, float32 (classes,); ``None``: all alike.
    tasks, goal : what the network is asked, and held against, where that is not one class.
    counted : what weighted losses are divided by (``Group.counted``).
    """
    method = _made(spec, size, given, BODY_SHARE if pretrained else 1.0, tasks)
    method.weights = weights
    method.goal = goal
    method.counted = counted
    return method


def _made(spec: BuildSpec, size: int, given: Mapping[str, Path], share: float, tasks: Tasks) -> Full:
    if spec.method == "full":
        return Full(spec.lr, share)
    if spec.method in TAUGHT:
        temperature = TEMPERATURE if spec.kd_temperature is None else spec.kd_temperature
        learner = Distill if spec.method == "distill" else Relational
        return learner(spec.lr, share, temperature)
    start = probe.read(given[PROBE])
    if tasks:
        start = probe.Probe(*unfolded(start.weight, start.bias, tasks))
    if spec.method == "lora":
        return Lora(spec.lr, spec.rank, size, start)
    if spec.method == "norm":
        return Norm(spec.lr, start)
    return Discriminative(spec.lr, size, start)
