"""A7, B7: peak memory of calibration, and that it does not grow with the samples; each run in a fresh process.

The pictures are drawn one by one, so that what is measured is the calibration and not a data set. The peak is the
kernel's high-water mark of the child (``VmHWM``): ``ru_maxrss`` would be that of this process, with torch in it, which
a child inherits. ONNX Runtime's entropy calibration gets as many of the 300 pictures as the memory holds, and our 300
are held against those.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import _peers
from _calibrators import CONTENDERS, in_child, pictures_that_fit
from _results import Results, parser

OURS, _, ENTROPY = CONTENDERS
GROWTH, SHARE = 1.05, 0.2


def main() -> None:
    options = parser(__doc__).parse_args()
    few, many, base, most = (4, 20, 8, 40) if options.quick else (100, 1000, 300, 3000)
    results = Results("calibration_memory", quick=options.quick, also=("onnxruntime", "onnx", "numpy"))
    with tempfile.TemporaryDirectory() as place:
        model = _peers.float_nchw("mobilenet_v2", Path(place))
        peaks = {n: in_child(OURS, model, n)["peak_mib"] for n in (few, many, base, most)}
        fitting = pictures_that_fit(model, base)
        peer = in_child(ENTROPY, model, fitting)["peak_mib"]
    for samples, peak in sorted(peaks.items()):
        results.row(f"peak memory, {samples} samples", peak, "MiB")
    results.row(f"peak memory, {ENTROPY}, {fitting} samples", peer, "MiB")
    for tag, fewer, more in (("A7", few, many), ("B7", base, most)):
        results.limit(
            f"{tag} peak memory of calibration, {more} against {fewer} samples",
            peaks[more] / peaks[fewer],
            "ratio",
            at_most=GROWTH,
        )
    results.limit(
        f"B7 peak memory of calibration, {base} samples, ours / {ENTROPY}",
        peaks[base] / peer,
        "ratio",
        at_most=SHARE,
        note="" if fitting == base else f"theirs with {fitting} samples: all that the memory held",
    )
    results.write()


if __name__ == "__main__":
    main()
