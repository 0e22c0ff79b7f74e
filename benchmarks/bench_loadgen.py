"""C5: our harness against MLPerf's LoadGen in single-stream, on one session by turns, mobilenet_v2 INT8 as shipped."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import _shipped
from _results import Results, parser

from edgetl import stats
from edgetl.backends.checks import noise
from edgetl.backends.seam import Session
from edgetl.bench import harness
from edgetl.bench.scenarios import loadgen
from edgetl.bench.scenarios.driven import Load
from edgetl.runtime import load

ROUNDS = 18
SECONDS = 0.4
RUNS = 64
WITHIN = 0.02


def theirs(session: Session, seconds: float) -> tuple[float, float]:
    """Median of a query by LoadGen and of its inference by our clock, milliseconds."""
    feed = {spec.name: noise(spec) for spec in session.inputs}
    found, stopped = loadgen.drive(session, feed, Load(scenario="single-stream", seconds=seconds, runs=RUNS))
    assert stopped is None and found.valid, found.reasons
    p50 = found.loadgen_ms()["p50"]
    assert p50 is not None
    return p50, stats.quantile(found.samples_ns, 0.5) / 1e6


def ours(session: Session, seconds: float) -> float:
    """Median of the engine alone by the harness, milliseconds."""
    feed = {spec.name: noise(spec) for spec in session.inputs}
    measured = harness.measure(session, feed, min_seconds=seconds, min_runs=RUNS)
    return stats.quantile(measured.samples_ns, 0.5) / 1e6


def main() -> None:
    options = parser(__doc__).parse_args()
    results = Results("loadgen", quick=options.quick, also=("mlcommons-loadgen",))
    rounds, seconds = (2, 0.2) if options.quick else (ROUNDS, SECONDS)
    found = []
    with tempfile.TemporaryDirectory() as place, load(_shipped.write(Path(place))) as predictor:
        for _ in range(rounds):
            mine = ours(predictor.session, seconds)
            found.append((mine, *theirs(predictor.session, seconds)))
            other = theirs(predictor.session, seconds)
            found.append((ours(predictor.session, seconds), *other))
    results.keep("p50 ms of the harness, of LoadGen, of the same inferences by our clock", found)
    logs = [math.log(mine / other) for mine, other, _ in found]
    results.near_one(
        "C5 edgetl's harness / LoadGen's single-stream, median latency of mobilenet_v2 INT8",
        logs,
        within=WITHIN,
        note="one session, by turns; LoadGen's query goes through its Python binding and back",
    )
    results.write()


if __name__ == "__main__":
    main()
