"""C5: our harness against MLPerf's LoadGen in single-stream, on one session by turns, mobilenet_v2 INT8 as shipped.

LoadGen asks from a second thread, too, for which OpenVINO keeps other memory: as with two instances, one is fast or
slow for as long as the process lives. So there are several processes.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import _shipped
from _results import FOLDER, Results, parser

from edgetl import isolate, stats
from edgetl.backends.checks import noise
from edgetl.backends.seam import Session
from edgetl.bench import harness
from edgetl.bench.scenarios import loadgen
from edgetl.bench.scenarios.driven import Load
from edgetl.runtime import load

PROCESSES = 8
ROUNDS = 4
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


def turns(bundle: str, rounds: int, seconds: float) -> list[tuple[float, float, float]]:
    """Medians of ours and both of theirs, milliseconds, two triples a round: the entry point of a child."""
    found = []
    with load(Path(bundle)) as predictor:
        for _ in range(rounds):
            mine = ours(predictor.session, seconds)
            found.append((mine, *theirs(predictor.session, seconds)))
            other = theirs(predictor.session, seconds)
            found.append((ours(predictor.session, seconds), *other))
    return found


def main() -> None:
    options = parser(__doc__).parse_args()
    results = Results("loadgen", quick=options.quick, also=("mlcommons-loadgen",))
    processes, rounds, seconds = (1, 2, 0.2) if options.quick else (PROCESSES, ROUNDS, SECONDS)
    with tempfile.TemporaryDirectory() as place:
        arguments = {"bundle": str(_shipped.write(Path(place))), "rounds": rounds, "seconds": seconds}
        env = {"PYTHONPATH": str(FOLDER.parent)}
        found = [isolate.call("bench_loadgen:turns", arguments, env=env) for _ in range(processes)]
    results.keep("p50 ms of the harness, of LoadGen, of the same inferences by our clock, by process", found)
    logs = [math.log(mine / other) for triples in found for mine, other, _ in triples]
    results.near_one(
        "C5 edgetl's harness / LoadGen's single-stream, median latency of mobilenet_v2 INT8",
        logs,
        within=WITHIN,
        note=f"one session a process, {processes} of them, by turns; "
        "LoadGen's query goes through its Python binding and back",
    )
    results.write()


if __name__ == "__main__":
    main()
