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
"""Of each train picture that is scored, whether the probe that was not fitted to it names its class."""
MOST = 5000
"""Pictures that are scored, the same of every backbone; more move no ranking and take minutes."""


def stage(seed: int) -> Stage:
    """LogME, NLEEP and a cross-validated linear probe of the train role's features."""

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        from edgetl.advise.logme import log_me
        from edgetl.advise.nleep import nleep
        from edgetl.transfer.methods.feature import out_of_fold

        labels = prepare.labels(inputs["prepare"], "train")
        kept = np.sort(np.random.default_rng(seed).permutation(len(labels))[:MOST])
        features = np.load(inputs["features"].path / "train.npy", mmap_mode="r")[kept]
        groups = groups_of(inputs["check"], "train")
        labels, groups = labels[kept], None if groups is None else groups[kept]
        said, told = out_of_fold(features, labels, seed, groups=groups)
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
