"""score: what a backbone's frozen features promise for the user's classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgetl import stats
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.stages import prepare
from edgetl.stages.backbone import versions_of
from edgetl.stages.check import groups_of

__all__ = ["RIGHT", "stage"]

RIGHT = "right.npy"
"""Of each train picture, whether the probe that was not fitted to it names its class."""


def stage(seed: int) -> Stage:
    """LogME, NLEEP and a cross-validated linear probe of the train role's features."""

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        from edgetl.advise.logme import log_me
        from edgetl.advise.nleep import nleep
        from edgetl.transfer.methods.feature import out_of_fold

        features = np.load(inputs["features"].path / "train.npy")
        labels = prepare.labels(inputs["prepare"], "train")
        said, told = out_of_fold(features, labels, seed, groups=groups_of(inputs["check"], "train"))
        right = said == labels
        np.save(out / RIGHT, right)
        held = said >= 0
        count, hits = int(held.sum()), int(right[held].sum())
        return {
            "summary": f"probe {100 * hits / count:.1f} %" if count else "too few pictures a class to probe",
            "logme": log_me(features, labels),
            "nleep": nleep(features, labels, seed=seed),
            "probe": hits / count if count else None,
            "probe_ci95": list(stats.wilson(hits, count)) if count else None,
            "log_likelihood": float(np.mean(np.maximum(told[held], LEAST))) if count else None,
            "images": count,
        }

    return Stage(
        "score",
        1,
        ("check", "prepare", "features"),
        {"seed": seed},
        versions_of("scikit-learn", "numpy"),
        run,
    )


LEAST = float(np.log(1e-6))
"""A picture that the probe is sure and wrong of counts no more than so."""
