"""features: the frozen backbone answers every picture once, as the compiled f32 engine."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgetl.backends import seam
from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.stages import prepare
from edgetl.stages.backbone import FEATURES
from edgetl.types import Role
from edgetl.verify.accuracy import outputs_of

__all__ = ["stage"]

TRAINED_ON: tuple[Role, ...] = ("train", "select")


def stage(profile: DeviceProfile, host: Mapping[str, str]) -> Stage:
    """Features of the ``train`` and ``select`` images, float32 (N, D), one file a role.

    The engine is the f32 one of the profile's backend: several times faster than the training framework on a
    CPU, and the head then learns on what is deployed.
    """
    backend = seam.find(profile.backend)
    asked = msgspec.structs.replace(profile, precision="f32")

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        total = sum(len(prepare.labels(inputs["prepare"], role)) for role in TRAINED_ON)
        done, width = 0, 0
        with tempfile.TemporaryDirectory() as scratch:
            engine = backend.compile(inputs["backbone"].path / FEATURES, asked, Path(scratch))
            session = backend.open(engine, Path(scratch), asked)
            try:
                for role in TRAINED_ON:
                    pictures = prepare.images(inputs["prepare"], role)
                    answers = outputs_of(
                        session,
                        pictures,
                        "features",
                        on_progress=ctx.part(done, total),
                    )
                    np.save(out / f"{role}.npy", answers)
                    done, width = done + len(answers), answers.shape[1]
            finally:
                session.close()
        return {"summary": f"{done} images, {width} features each", "width": width}

    return Stage("features", 1, ("backbone", "prepare"), {"host": dict(host)}, backend.fingerprint(), run)
