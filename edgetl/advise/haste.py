"""An INT8 engine whose latency alone is of interest: ranges of a few pictures, no look at accuracy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl import devices
from edgetl.backends import folder as folders
from edgetl.devices import DeviceProfile
from edgetl.quantize import observe, place, schemes

__all__ = ["CALIBRATE", "compile_int8"]

CALIBRATE = 8
"""Pictures that ranges are taken from: latency does not depend on them."""


def compile_int8(plain: Path, pictures: npt.NDArray[np.uint8], profile: DeviceProfile, engine: Path) -> None:
    """Quantize and compile a float model for the profile.

    Parameters
    ----------
    plain : ONNX with its preprocessing inside. pictures : uint8 (N, H, W, 3).
    engine : new folder; the quantized model is written beside it.

    Raises
    ------
    EdgetlError : the model cannot be quantized, or the vendor refuses it.
    """
    samples: Any = (np.ascontiguousarray(one[None]) for one in pictures[:CALIBRATE])
    quantized = engine.with_name(f"{plain.stem}.int8.onnx")
    place.quantize(
        plain,
        observe.observe(plain, samples),
        schemes.find(profile.scheme),
        "default",
        quantized,
        reduce_range=devices.narrow_weights(profile),
    )
    folders.compile_into(quantized, msgspec.structs.replace(profile, precision="int8"), engine)
