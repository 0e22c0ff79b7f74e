"""A4: a 1080p BGR frame to its label against the engine alone, mobilenet_v2 in INT8 as shipped.

The usual pipelines (OpenCV's INTER_AREA, Pillow's bilinear) feed the same engine for comparison. Fresh instances of
all run in the same fresh processes, in mirrored turns (``edgetl.bench.compare``).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import _shipped
from _results import Results, parser

from edgetl.bench.comparison import Contender, compare, of_engine
from edgetl.bench.instance import Pace

INSTANCES = 16
OURS = "frame to label"
USUAL = {"frame to label by INTER_AREA": "area_frame", "frame to label by Pillow": "pil_frame"}


def main() -> None:
    options = parser(__doc__).parse_args()
    results = Results("frame", quick=options.quick, also=("opencv-python-headless", "Pillow"))
    with tempfile.TemporaryDirectory() as place:
        bundle = _shipped.write(Path(place))
        arguments = {"bundle": str(bundle)}
        contenders = {
            "engine alone": of_engine(bundle / "engine"),
            OURS: Contender(opener="_runtime_openers:predict_frame", arguments=arguments),
            **{
                name: Contender(opener=f"_runtime_openers:{opener}", arguments=arguments)
                for name, opener in USUAL.items()
            },
        }
        count, pace = (3, Pace(rounds=2, block_ms=30)) if options.quick else (INSTANCES, Pace())
        found = compare(
            contenders,
            baseline="engine alone",
            instances=count,
            most_instances=count,
            pace=pace,
            env={"PYTHONPATH": str(Path(__file__).parent)},  # the openers are beside this program
        )
    results.keep("log ratios to the engine alone", {name: found.log_ratios(name) for name in found.names()})
    for name in found.names():
        told = found.latency_ms(name)
        results.row(f"p50 {name}", told["p50"], "ms", n=told["n"])
    ratio = found.ratio(OURS)
    results.ratio(
        f"A4 {OURS} / engine alone",
        ratio=ratio.ratio,
        ci95=ratio.ci95,
        instances=ratio.instances,
        at_most=1.3,
        note="1080p, mobilenet_v2 INT8",
    )
    for name in USUAL:
        usual = found.ratio(name)
        results.row(f"{name} / engine alone", usual.ratio, "ratio", ci95=usual.ci95, n=usual.instances)
    results.write()


if __name__ == "__main__":
    main()
