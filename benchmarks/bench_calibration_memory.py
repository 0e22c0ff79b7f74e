"""A7: peak memory of calibration with 100 and with 1,000 samples, each in a fresh process.

A child observes mobilenet_v2 at 224 with pictures that it draws one by one, so that what is measured is the
calibration and not a data set. The peak is the kernel's high-water mark of the child (``VmHWM``): ``ru_maxrss``
would be that of this process, with torch in it, which a child inherits.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from _results import Results, parser

FEW, MANY = 100, 1000
ALLOWED = 1.05


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--child", nargs=2, metavar=("MODEL", "SAMPLES"), help="measure one and print it")
    options = made.parse_args()
    if options.child:
        print(json.dumps(_peak_mib(Path(options.child[0]), int(options.child[1]))))
        return
    import _peers

    few, many = (4, 40) if options.quick else (FEW, MANY)
    results = Results("calibration_memory", quick=options.quick, also=("onnxruntime", "onnx", "numpy"))
    with tempfile.TemporaryDirectory() as place:
        model = _peers.float_model("mobilenet_v2", Path(place))
        peaks = {samples: _in_child(model, samples) for samples in (few, many)}
    for samples, peak in peaks.items():
        results.row(f"peak memory, {samples} samples", peak, "MiB")
    results.limit(
        f"A7 peak memory of calibration, {many} against {few} samples",
        peaks[many] / peaks[few],
        "ratio",
        at_most=ALLOWED,
    )
    results.write()


def _in_child(model: Path, samples: int) -> float:
    command = [sys.executable, __file__, "--child", str(model), str(samples)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(json.loads(said.splitlines()[-1]))


def _peak_mib(model: Path, samples: int) -> float:
    from edgetl.quantize.observe import observe

    rng = np.random.default_rng(0)
    # smooth at first and noisy at last: extremes keep growing, so bins are merged on the way
    pictures = (
        np.clip(rng.normal(128, 4 + 100 * i / samples, (1, 224, 224, 3)), 0, 255).astype(np.uint8)
        for i in range(samples)
    )
    observe(model, pictures, total=samples)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
