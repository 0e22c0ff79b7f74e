"""trial: a backbone with an empty head: what an inference costs, and an engine made in haste to time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgetl.backends import seam
from edgetl.devices import DeviceProfile
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.quantize import place
from edgetl.stages import prepare
from edgetl.stages.backbone import FEATURES

__all__ = ["ENGINE", "stage"]

ENGINE = "engine"


def stage(profile: DeviceProfile, host: Mapping[str, str], classes: int, *, compiled: bool) -> Stage:
    """Count the operations of a backbone's graph, and compile it in INT8.

    Parameters
    ----------
    classes : that the head tells apart. compiled : engines of the profile run here; else there is nothing to time.
    """

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        from edgetl import heads
        from edgetl.advise import cost, haste

        plain, width = out / "model.onnx", inputs["features"].record["width"]
        empty = np.zeros((classes, width), np.float32), np.zeros(classes, np.float32)
        heads.with_head(inputs["backbone"].path / FEATURES, *empty, plain)
        if compiled:
            haste.compile_int8(plain, prepare.images(inputs["prepare"], "train"), profile, out / ENGINE)
        return {"summary": "", "cost": msgspec.to_builtins(cost.of_model(plain))}

    options = {"classes": classes, "compiled": compiled, "scheme": profile.scheme, "host": dict(host)}
    options |= {"backend": profile.backend, "device": profile.device, "threads": profile.threads}
    tools = {**place.tools(), **(seam.find(profile.backend).fingerprint() if compiled else {})}
    return Stage("trial", 1, ("backbone", "prepare", "features"), options, tools, run)
