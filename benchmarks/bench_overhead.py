"""A5: what the runtime adds to a raw OpenVINO infer request with a preset tensor, mobilenet_v2 in INT8 as shipped.

All contenders of a process share one compiled model and the same pixels: an instance's luck is not an overhead.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import _shipped
from _results import Results, parser

from edgetl.bench.comparison import Contender, compare
from edgetl.bench.instance import Pace

INSTANCES = 16
RAW = "raw infer request"
LIMIT = 1.03
OURS = {
    "a request, preset": "request",
    "Session.run": "session_run",
    "Predictor.predict of a picture of the engine's size": "predict_input",
}
JUDGED = "Session.run"


def main() -> None:
    options = parser(__doc__).parse_args()
    results = Results("overhead", quick=options.quick)
    with tempfile.TemporaryDirectory() as place:
        arguments = {"bundle": str(_shipped.write(Path(place)))}
        contenders = {
            name: Contender(opener=f"_runtime_openers:{opener}", arguments=arguments)
            for name, opener in {RAW: "raw", **OURS}.items()
        }
        count, pace = (3, Pace(rounds=2, block_ms=30)) if options.quick else (INSTANCES, Pace(rounds=6))
        found = compare(
            contenders,
            baseline=RAW,
            instances=count,
            most_instances=count,
            pace=pace,
            env={"PYTHONPATH": str(Path(__file__).parent)},  # the openers are beside this program
        )
    results.keep("log ratios to the raw request", {name: found.log_ratios(name) for name in OURS})
    for name in found.names():
        told = found.latency_ms(name)
        results.row(f"p50 {name}", told["p50"], "ms", n=told["n"])
    for name in OURS:
        ratio = found.ratio(name)
        if name == JUDGED:
            results.ratio(
                f"A5 {name} / {RAW}",
                ratio=ratio.ratio,
                ci95=ratio.ci95,
                instances=ratio.instances,
                at_most=LIMIT,
                note="the same compiled model and pixels; ours checks, copies in and copies out",
            )
        else:
            results.row(f"{name} / {RAW}", ratio.ratio, "ratio", ci95=ratio.ci95, n=ratio.instances)
    results.write()


if __name__ == "__main__":
    main()
