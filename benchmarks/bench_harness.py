"""C3: what the harness adds to a run, on a session that does nothing: inside the sample, and from run to run."""

from __future__ import annotations

import statistics

from _results import FOLDER, Results, parser

from edgetl import isolate, stats
from edgetl.bench import harness

PATH = str(FOLDER.parent)
LIMIT_US = 2.0
PROCESSES = 10
REPEATS = 20
RUNS = 5000


def costs(repeats: int, runs: int) -> list[tuple[float, float]]:
    """Nanoseconds inside a sample and between two, so many times: the entry point of a child."""
    found = [harness.own_cost(runs=runs) for _ in range(repeats)]
    return [(cost.inside_ns, cost.between_ns) for cost in found]


def main() -> None:
    options = parser(__doc__).parse_args()
    results = Results("harness", quick=options.quick)
    processes, repeats = (2, 3) if options.quick else (PROCESSES, REPEATS)
    arguments = {"repeats": repeats, "runs": RUNS}
    found = [
        pair
        for _ in range(processes)
        for pair in isolate.call("bench_harness:costs", arguments, env={"PYTHONPATH": PATH})
    ]
    results.keep("ns inside a sample, ns between two", found)
    whole = [(inside + between) / 1000 for inside, between in found]
    results.limit(
        "C3 harness overhead per run, null session",
        statistics.median(whole),
        "us",
        at_most=LIMIT_US,
        ci95=stats.quantile_interval(whole, 0.5),
        n=len(found) * RUNS,
        note="all that passes from one run to the next",
    )
    inside = [pair[0] / 1000 for pair in found]
    results.row(
        "of it inside the sample",
        statistics.median(inside),
        "us",
        ci95=stats.quantile_interval(inside, 0.5),
        n=len(found) * RUNS,
        note="by so much each latency is too long",
    )
    results.write()


if __name__ == "__main__":
    main()
