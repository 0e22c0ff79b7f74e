"""E7: how far the latency model is off for a network that it was not fitted to.

``edgetl profile-device`` on this host, as a user runs it: torchvision's networks with random weights, in INT8 at batch
1, each at two sizes. Every network is predicted by a fit to the others, with none of its sizes among them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from _results import Results, parser

from edgetl import profiling
from edgetl.home import cache_folder
from edgetl.pipeline import Silent

QUICK = ("mnasnet0_5", "mobilenet_v3_small", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1", "tiny")
MOST_MEDIAN, MOST_WORST = 15.0, 40.0
"""Percent."""


def main() -> None:
    """Measure, and write the file."""
    options = parser(__doc__).parse_args()
    results = Results("latency_model", quick=options.quick, also=("openvino", "torch", "torchvision"))
    with tempfile.TemporaryDirectory() as scratch:
        answer = profiling.profile_device(
            "local",
            networks=QUICK if options.quick else profiling.NETWORKS,
            sizes=(64, 96) if options.quick else profiling.SIZES,
            out=Path(scratch) / "local.json",
            cache=cache_folder() if options.quick else Path(scratch),
            progress=Silent(),
        )
    print("\n".join(answer.lines[:-3]), flush=True)
    found = answer.data
    networks = len({one["model"] for one in found["measured"]})
    note = f"{networks} networks, {len(found['measured'])} engines"
    errors = {"median": (found["error_median"], MOST_MEDIAN), "worst": (found["error_worst"], MOST_WORST)}
    for name, (error, limit) in errors.items():
        results.limit(
            f"E7 latency of a network that was left out of the fit, {name} error",
            100 * error,
            "%",
            at_most=limit,
            n=networks,
            note=note,
        )
    results.keep("measured", found["measured"])
    results.keep("left_out_ms", found["left_out_ms"])
    results.keep("milliseconds", found["milliseconds"])
    results.write()


if __name__ == "__main__":
    main()
