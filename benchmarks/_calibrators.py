"""One calibration in a fresh process: by edgetl, by NNCF, by ONNX Runtime's entropy; its seconds and its peak memory.

``python _calibrators.py CONTENDER MODEL SAMPLES [PICTURES.npy]`` prints them as JSON. The job is the whole of it: a
float model and pictures in, a quantized model out. Libraries and pictures are loaded before the clock starts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["CONTENDERS", "in_child", "pictures_that_fit"]

Array = npt.NDArray[Any]

OURS, NNCF, ENTROPY = "ours", "NNCF default", "ONNX Runtime entropy"
CONTENDERS = (OURS, NNCF, ENTROPY)
MEMORY_SHARE = 0.6
"""Of the memory that is free, for a peer that keeps every activation of every picture."""


def in_child(contender: str, model: Path, samples: int, pictures: Path | None = None) -> dict[str, float]:
    """Seconds and peak MiB of one calibration in a process of its own."""
    command = [sys.executable, __file__, contender, str(model), str(samples)]
    said = subprocess.run(
        [*command, *([str(pictures)] if pictures else [])], check=True, capture_output=True, text=True
    ).stdout
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found


def pictures_that_fit(model: Path, wanted: int) -> int:
    """How many pictures ONNX Runtime's entropy calibration can take here."""
    few, more = (in_child(ENTROPY, model, samples)["peak_mib"] for samples in (4, 12))
    free = int(Path("/proc/meminfo").read_text().partition("MemAvailable:")[2].split()[0]) / 1024
    return max(min(int(MEMORY_SHARE * free / max((more - few) / 8, 1.0)), wanted), 1)


def _run(contender: str, model: Path, samples: int, pictures: Path | None) -> dict[str, float]:
    import _peers
    from onnxruntime.quantization import CalibrationMethod

    from edgetl.quantize import observe, place, schemes

    if contender == NNCF:
        import nncf  # noqa: F401
    images: Any = _Images(samples, pictures)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        if contender == OURS:
            seen = observe.observe(model, images, total=samples)
            place.quantize(model, seen, schemes.find("openvino-cpu"), "default", Path(folder) / "model.onnx")
        elif contender == NNCF:
            _peers.nncf_default(model, images, Path(folder))
        else:
            _peers.ort_static(model, images, Path(folder), calibrate_method=CalibrationMethod.Entropy)
        seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    return {"seconds": seconds, "peak_mib": peak}


class _Images:
    """Normalised pictures, (1, 3, H, W): from a file, all at once; or drawn one by one, so that they take no memory.

    Those that are drawn are smooth at first and noisy at last: extremes keep growing, so bins are merged on the way.
    """

    def __init__(self, samples: int, pictures: Path | None) -> None:
        self._samples = samples
        self._held = None if pictures is None else list(np.load(pictures)[:samples, None])

    def __len__(self) -> int:
        return self._samples

    def __iter__(self) -> Iterator[Array]:
        if self._held is not None:
            yield from self._held
            return
        rng = np.random.default_rng(0)
        for number in range(self._samples):
            noise = rng.normal(0, 0.04 + 0.8 * number / self._samples, (1, 3, 224, 224))
            yield np.clip(noise, -1, 1).astype(np.float32)

    def __getitem__(self, number: int) -> Array:
        assert self._held is not None
        picture: Array = self._held[number]
        return picture


if __name__ == "__main__":
    place_of = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    print(json.dumps(_run(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), place_of)))
