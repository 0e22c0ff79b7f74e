"""B6: wall time of calibrating and quantizing with 300 ImageNet pictures, against NNCF and ONNX Runtime's entropy.

Rounds of the contenders take turns, each in a fresh process (``_calibrators``). ONNX Runtime keeps every activation of
every picture until it counts them, so it gets as many of the 300 pictures as the memory holds, and ours
gets as many when the two are compared.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import _imagenet
import _peers
import numpy as np
from _calibrators import CONTENDERS, in_child, pictures_that_fit
from _results import Results, needed_data, parser

from edgetl import stats

NETS = ("efficientnet_lite0", "mobilenet_v1_075")
OURS, NNCF, ENTROPY = CONTENDERS
ROUNDS, ENTROPY_ROUNDS = 7, 3
"""A round of theirs takes more than a minute."""
AT_MOST = {NNCF: 0.5, ENTROPY: 0.1}


def main() -> None:
    options = parser(__doc__).parse_args()
    data = needed_data()
    results = Results("calibration", quick=options.quick, also=("nncf", "onnxruntime", "openvino"))
    rule = _peers.preprocess_of("efficientnet_lite0")  # both networks take 224 of 256, in [-1, 1]
    pictures, labels = _imagenet.pictures(data / "imagenet1k", rule)
    chosen, _ = _imagenet.split(len(labels), quick=options.quick)
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images.npy"
        np.save(images, np.concatenate(_peers.normalised(pictures[chosen], rule)))
        for net in NETS[:1] if options.quick else NETS:
            model = _peers.real_nchw(net, Path(folder), data / "weights")
            _compare(results, net, model, images, len(chosen), rounds=1 if options.quick else ROUNDS)
    results.write()


def _compare(results: Results, net: str, model: Path, images: Path, samples: int, *, rounds: int) -> None:
    fitting = pictures_that_fit(model, samples)
    for peer, count, times in ((NNCF, samples, rounds), (ENTROPY, fitting, min(rounds, ENTROPY_ROUNDS))):
        taken: dict[str, list[float]] = {OURS: [], peer: []}
        for number in range(times):
            for name in (OURS, peer) if number % 2 else (peer, OURS):
                taken[name].append(in_child(name, model, count, images)["seconds"])
        for name, seconds in taken.items():
            results.keep(f"{net}/{name}, {count} pictures", seconds)
            results.row(f"{net}, {name}, {count} pictures", statistics.median(seconds), "s", n=times)
        logs = np.log(np.array(taken[OURS]) / np.array(taken[peer]))
        spread = stats.signed_rank_interval(logs)
        results.limit(
            f"B6 {net}, calibration, ours / {peer}",
            float(np.exp(stats.hodges_lehmann(logs))),
            "ratio",
            at_most=AT_MOST[peer],
            ci95=None if spread is None else (float(np.exp(spread[0])), float(np.exp(spread[1]))),
            n=times,
            note="" if count == samples else f"{count} pictures: all that the memory held of theirs",
        )


if __name__ == "__main__":
    main()
