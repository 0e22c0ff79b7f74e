"""What latency programs time: our engines, and a network as every peer quantizes and runs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import _peers
import msgspec
import numpy as np
from _results import shared_data

from edgetl import devices, stats
from edgetl.backends import folder as engines
from edgetl.bench.comparison import Comparison, Contender, of_engine
from edgetl.data import decode
from edgetl.devices import DeviceProfile
from edgetl.runtime import preprocess
from edgetl.types import Preprocess

__all__ = ["ENVIRONMENT", "PROFILE", "block_medians", "engine", "of_peers", "pictures", "saturates"]

PROFILE = DeviceProfile(name="local", backend="openvino", device="CPU")
ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parent)}
"""For the processes of a comparison: the openers are beside the programs."""


def saturates() -> bool:
    """Whether this processor adds products of bytes in 16 bits."""
    return devices.saturates(devices.load().find("local"))


def pictures(rule: Preprocess, count: int) -> _peers.Array:
    """Real pictures where there are some, else noise: uint8 (N, H, W, 3)."""
    data = shared_data()
    if data is None:
        side = _peers.SIDE
        return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    files = sorted((data / "imagenet1k").glob("*.jpg"))[:count]
    return np.stack([preprocess.apply(decode.read_image(file), rule) for file in files])


def engine(model: Path, precision: str, folder: Path) -> Contender:
    """A model of ours, compiled for OpenVINO's CPU plugin into a new folder."""
    engines.compile_into(model, msgspec.structs.replace(PROFILE, precision=precision), folder)
    return of_engine(folder)


def of_peers(model: Path, images: Sequence[_peers.Array], folder: Path) -> dict[str, Contender]:
    """A float network as NNCF and ONNX Runtime quantize it, on every runtime that takes the result."""
    nncf = _peers.nncf_default(model, images, folder)
    made = {"NNCF on OpenVINO": Contender(opener="_openers:openvino_model", arguments={"path": str(nncf)})}
    for form, variant in {
        "ORT static": {},
        "ORT static per channel": {"per_channel": True, "reduce_range": saturates()},
    }.items():
        path = str(_peers.ort_static(model, images, folder, **variant))
        for runtime, opener in (("ORT", "onnxruntime_model"), ("OpenVINO", "openvino_model")):
            made[f"{form} on {runtime}"] = Contender(opener=f"_openers:{opener}", arguments={"path": path})
    return made


def block_medians(found: Comparison) -> list[dict[str, list[float]]]:
    """Median nanoseconds of each block, an entry an instance: what every statistic is made from."""
    return [
        {name: [stats.quantile(block, 0.5) for block in blocks] for name, blocks in instance.items()}
        for instance in found.instances
    ]
