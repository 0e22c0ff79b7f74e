"""B8: ``edgetl sensitivity`` of every layer of mobilenet_v2 on 100 ImageNet pictures, from command to table.

Weights are random, with batch-norm statistics of noise: what is measured is time. The command runs as a user runs it,
in a process of its own: interpreter, calibration and the f32 reference count.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import _shipped
from _results import Results, parser, shared_data

PICTURES = 100
LIMIT_S = 120.0


def main() -> None:
    """Measure, and write the file."""
    options = parser(__doc__).parse_args()
    results = Results("sensitivity", quick=options.quick, also=("openvino", "onnxruntime"))
    data = shared_data()
    if data is None:
        results.row("B8", None, "s", target=f"<= {LIMIT_S}", note="the real data is not here (EDGETL_SHARED)")
        results.write()
        return
    count = 2 if options.quick else PICTURES
    with tempfile.TemporaryDirectory() as scratch:
        bundle = _shipped.write(Path(scratch), with_float=True)
        command = [
            *(sys.executable, "-m", "edgetl", "sensitivity", str(bundle), "--json"),
            *("--data", str(data / "imagenet1k"), "--samples", str(count)),
        ]
        begun = time.perf_counter()
        ran = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        seconds = time.perf_counter() - begun
    layers = json.loads(ran.stdout)["layers"]
    results.keep("mobilenet_v2", {"seconds": seconds, "layers": layers})
    results.limit(
        "B8 mobilenet_v2, sensitivity of all layers",
        seconds,
        "s",
        at_most=LIMIT_S,
        n=1,
        note=f"{len(layers)} layers, {count} pictures",
    )
    results.write()


if __name__ == "__main__":
    main()
