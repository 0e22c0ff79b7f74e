"""mobilenet_v2 in INT8 as edgetl ships it: a sealed bundle, with random weights, for times do not depend on them."""

from __future__ import annotations

import shutil
from pathlib import Path

import _peers
import numpy as np

from edgetl import digest
from edgetl.backends import seam
from edgetl.devices import DeviceProfile
from edgetl.runtime import bundle

__all__ = ["write"]

NET = "mobilenet_v2"
CALIBRATE = 8
"""Pictures that ranges are taken from: latency does not depend on them."""


def write(folder: Path, *, with_float: bool = False) -> Path:
    """Make the bundle below a folder that exists; the models that it is made of stay beside it.

    Parameters
    ----------
    with_float : put the float model in, which only ``edgetl sensitivity`` reads: opening hashes every file.
    """
    rule = _peers.preprocess_of(NET)
    shape = (CALIBRATE, rule.height, rule.width, 3)
    pictures = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    plain = _peers.float_model(NET, folder)
    quantized = _peers.ours(plain, pictures, folder)
    made = folder / "bundle"
    (made / "engine").mkdir(parents=True)
    profile = DeviceProfile(name="local", backend="openvino", device="CPU", precision="int8")
    engine = seam.find("openvino").compile(quantized, profile, made / "engine")
    classes = [f"class {index}" for index in range(engine.outputs[0].shape[-1] or 0)]
    (made / bundle.ENGINE).write_bytes(digest.canonical_json(engine))
    if with_float:
        shutil.copyfile(plain, made / "model.fp32.onnx")
    (made / bundle.LABELS).write_bytes(digest.canonical_json(classes))
    (made / bundle.PREPROCESS).write_bytes(digest.canonical_json(rule))
    bundle.seal(
        made,
        bundle.Manifest(
            schema=bundle.SCHEMA,
            name=NET,
            created="1970-01-01T00:00:00Z",
            device=profile.name,
            backend=engine.backend,
            precision=engine.precision,
            task="classify",
            model=NET,
            method="none",
            seed=0,
            data={},
            versions=engine.built_with,
            files={},
        ),
    )
    return made
