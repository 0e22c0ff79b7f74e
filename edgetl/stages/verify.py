"""verify: a compiled engine answers the held-out images; nothing is simulated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl.backends import seam
from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.stages import prepare
from edgetl.stages.compile import engine_of, profile_of
from edgetl.types import Role
from edgetl.verify.accuracy import logits_of

__all__ = ["HELD_OUT", "logits", "stage"]

HELD_OUT: tuple[Role, ...] = ("select", "test")


def stage(candidate: str, profile: DeviceProfile, host: Mapping[str, str]) -> Stage:
    """Logits of a candidate's engine on the ``select`` and ``test`` images."""
    asked = profile_of(candidate, profile)
    backend = seam.find(asked.backend)
    compiled = f"compile:{candidate}"

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        engine, folder = engine_of(inputs[compiled])
        total = sum(len(prepare.labels(inputs["prepare"], role)) for role in HELD_OUT)
        session = backend.open(engine, folder, asked)
        done = 0
        counts = {}
        try:
            for role in HELD_OUT:
                pictures = prepare.images(inputs["prepare"], role)
                answers = logits_of(session, pictures, on_progress=ctx.part(done, total))
                np.save(out / f"{role}.npy", answers)
                counts[role] = len(answers)
                done += len(answers)
        finally:
            session.close()
        said = f"{counts['test']} held-out images" if candidate == "f32" else ""
        return {"summary": said, "counts": counts}

    options = {"threads": profile.threads, "host": dict(host)}
    return Stage(f"verify:{candidate}", 1, ("prepare", compiled), options, backend.fingerprint(), run)


def logits(verified: Artifact, role: Role) -> npt.NDArray[np.float32]:
    """What the engine answered for a role, float32 (N, classes)."""
    array: npt.NDArray[np.float32] = np.load(verified.path / f"{role}.npy")
    return array
