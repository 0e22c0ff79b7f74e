"""C4: our harness against OpenVINO's ``benchmark_app``: its own loop and ours by turns on one compiled model.

Two processes would compare two instances of the engine, each fast or slow for its whole life. So the compiled model is
one, its request is set up by ``benchmark_app``'s own code as ``-api sync -inference_only`` does it, and both time the
same pixels in the same minute, A B B A.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import _shipped
import openvino as ov
from _results import FOLDER, Results, parser
from openvino.tools.benchmark.benchmark import Benchmark
from openvino.tools.benchmark.utils.inputs_filling import DataQueue

from edgetl import isolate, stats
from edgetl.backends import folder as engines
from edgetl.backends.checks import noise
from edgetl.backends.openvino import OpenVINOSession
from edgetl.bench import harness

PROCESSES = 6
ROUNDS = 8
RUNS = 60
WITHIN = 0.02
MEDIAN = 50


def turns(engine: str, rounds: int, runs: int) -> list[tuple[float, float]]:
    """Medians of ours and of theirs, milliseconds, two pairs a round: the entry point of a child."""
    record = engines.read(Path(engine))
    compiled = ov.Core().compile_model(Path(engine) / record.files[0], record.device, record.config)
    session = OpenVINOSession(record, compiled)
    feed = {spec.name: noise(spec) for spec in record.inputs}
    app = Benchmark(record.device, number_iterations=runs, api_type="sync", inference_only=True)
    requests = app.create_infer_requests(compiled)
    queue = DataQueue({port: [ov.Tensor(array)] for port, array in enumerate(feed.values())}, [1])
    requests[0].set_input_tensors(queue.get_next_input())
    app.first_infer(requests)

    def ours() -> float:
        measured = harness.measure(session, feed, min_seconds=0, min_runs=runs)
        return stats.quantile(measured.samples_ns, 0.5) / 1e6

    def theirs() -> float:
        return float(app.main_loop(requests, queue, [1], MEDIAN, False)[1])

    pairs = []
    for _ in range(rounds):
        first = ours()
        pairs.append((first, theirs()))
        second = theirs()
        pairs.append((ours(), second))
    return pairs


def main() -> None:
    options = parser(__doc__).parse_args()
    results = Results("benchmark_app", quick=options.quick)
    processes, rounds = (1, 2) if options.quick else (PROCESSES, ROUNDS)
    with tempfile.TemporaryDirectory() as place:
        arguments = {"engine": str(_shipped.write(Path(place)) / "engine"), "rounds": rounds, "runs": RUNS}
        env = {"PYTHONPATH": str(FOLDER.parent)}
        found = [isolate.call("bench_benchmark_app:turns", arguments, env=env) for _ in range(processes)]
    results.keep("p50 ms of the harness, of benchmark_app, by process", found)
    logs = [math.log(mine / other) for pairs in found for mine, other in pairs]
    results.near_one(
        "C4 edgetl's harness / benchmark_app, median latency of mobilenet_v2 INT8",
        logs,
        within=WITHIN,
        note=f"one compiled model a process, {processes} of them, {RUNS} runs a turn",
    )
    results.write()


if __name__ == "__main__":
    main()
