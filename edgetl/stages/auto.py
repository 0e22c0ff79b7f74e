"""train, by ``--method auto``: the linear probe, or what fine-tuning makes of it where labels are enough to tell."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgetl import digest
from edgetl.cache import RECORD
from edgetl.data.balances import Balances
from edgetl.data.imbalance import Balance
from edgetl.errors import GateFailed
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.processes import LEAST, Processes
from edgetl.stages import backbone, prepare, train
from edgetl.stages.train import Setting
from edgetl.transfer.methods.known import METHODS, PROBE
from edgetl.types import BuildSpec

__all__ = ["FROM_SCRATCH", "LEAST_LABELS", "MOST_EPOCHS", "pick", "stage", "tunes", "tuning_of"]

FROM_SCRATCH = "random weights: there is nothing to keep, so all are trained"
LEAST_LABELS = 10
"""Labels of the rarest class below which fine-tuning is not tried: what it wins there is less than chance moves it."""
MOST_EPOCHS = 10
LEAST_BATCH = 8
LEAST_STEPS = 25
"""Of an epoch, where batches of ``LEAST_BATCH`` come to so many: a few hundred steps are a fine-tuning."""
MANY_LABELS = 50
"""Labels of the rarest class from which fine-tuning is likelier than the probe to be the better one."""
TUNED = "discriminative"


def tunes(labels: Sequence[int]) -> bool:
    """Whether fine-tuning is tried, by the pictures of each class to train on."""
    return min(labels) >= LEAST_LABELS


def pick(
    probe: float, tuned: float, images: int, labels: int, unit: str = " %", largest: float | None = None
) -> tuple[str, str]:
    """Which of two stays, and why.

    Parameters
    ----------
    probe, tuned : accuracy of the linear probe and of the fine-tuned network on the same select images, from 0 to 1.
    images : how many those are. labels : of the rarest class to train on. unit : what 100 times a score is told in.
    largest : share of a score that one image has at most, where classes are weighted; ``None``: all count alike.

    Returns
    -------
    The method's name and a sentence. One image decides nothing: so near each other, many labels speak for fine-tuning,
    few for the probe.
    """
    among = f"{images} select images" if largest is None else f"{images} select images, weighted by class"
    both = f"{100 * tuned:.1f}{unit} against {100 * probe:.1f}{unit} of the linear probe on {among}"
    if abs(tuned - probe) > 1.5 * (largest or 1 / images):
        if tuned > probe:
            return TUNED, f"fine-tuning is better: {both}"
        return "feature", f"fine-tuning brings nothing: {both}"
    if labels >= MANY_LABELS:
        return TUNED, f"{both} decide nothing, and {labels} labels a class speak for fine-tuning"
    return "feature", f"{both} decide nothing, and {labels} labels a class speak for the probe"


def _largest(inputs: Mapping[str, Artifact], balance: Balance | Balances) -> float | None:
    if isinstance(balance, Balances) or not balance.weights:
        return None
    weights = np.asarray(balance.weights)[prepare.labels(inputs["prepare"], "select")]
    return float(weights.max() / weights.sum())


def tuning_of(spec: BuildSpec, pictures: int, processes: Processes | None = None) -> BuildSpec:
    """The fine-tuning that is tried: short, and in small steps where pictures are few.

    Parameters
    ----------
    pictures : to train on. processes : that share each batch.
    """
    least = max(LEAST_BATCH, LEAST * (processes.count if processes else 1))
    size = spec.batch_size
    while size >= 2 * least and pictures < LEAST_STEPS * size:
        size //= 2
    return msgspec.structs.replace(spec, method=TUNED, epochs=min(spec.epochs, MOST_EPOCHS), batch_size=size)


def stage(spec: BuildSpec, setting: Setting, labels: Sequence[int]) -> Stage:
    """Keep the linear probe, or what fine-tuning makes of it.

    Parameters
    ----------
    labels : pictures of each class to train on.
    """
    tries = tunes(labels)
    tuning = tuning_of(spec, sum(labels), setting.processes)

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        probe = inputs[PROBE].record["select_score"]
        unit = " of 100" if prepare.tasks_of(inputs["prepare"]) else " %"
        images, balance = len(prepare.labels(inputs["prepare"], "select")), train.balance_of(spec, inputs)
        with tempfile.TemporaryDirectory() as scratch:
            tuned, notes = None, []
            if not tries:
                kept, why = "feature", f"{min(labels)} labels of the rarest class are too few to fine-tune"
            elif not images:
                kept, why = "feature", "there is no select image to judge fine-tuning by"
            else:
                state = setting.scratch / digest.of_json(made.key_parts(inputs))
                try:
                    told = train.train_in_child(
                        tuning, inputs, Path(scratch), state, setting, ctx, keep_last=True
                    )
                    tuned, notes = told["best"]["accuracy"], told["notes"]
                    kept, why = pick(probe, tuned, images, min(labels), unit, _largest(inputs, balance))
                except GateFailed as error:
                    kept, why = "feature", f"fine-tuning failed ({error.problem})"
            source = Path(scratch) if kept == TUNED else inputs[PROBE].path
            shutil.copytree(source, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns(RECORD))
        accuracy = tuned if kept == TUNED else probe
        spoken = METHODS[kept].spoken
        return {
            "summary": f"{spec.model}, auto took {kept} ({spoken}): {why}{balance.said()} · "
            f"{train.selected(inputs, accuracy)}",
            "select_accuracy": accuracy,
            **({"select_loss": told["best"]["loss"]} if kept == TUNED else {}),
            "training": {
                **train.made_up(spec, balance),
                "picked": kept,
                "why": why,
                **({"tuning": {"epochs": tuning.epochs, "batch_size": tuning.batch_size}} if tries else {}),
                "labels_per_class": min(labels),
                "select_images": images,
                "select_accuracy": {"feature": probe, TUNED: tuned},
            },
            "notes": [*balance.notes(), *notes],
        }

    options: dict[str, Any] = {"method": "auto", "labels": min(labels), "tunes": tries}
    needs: tuple[str, ...] = ("prepare", PROBE)
    if tries:
        options |= {"tuning": train.options_of(tuning, setting)}
        needs = (*train.TRAINED_FROM, PROBE)
    made = Stage("train", 8, needs, options, backbone.versions(spec), run)
    return made
