"""MLPerf's four scenarios, driven by its own load generator (``mlcommons-loadgen``), with our clock beside its.

LoadGen decides when a query comes and when enough have come, and takes its own times: from the moment a query was
due, so that one which had to wait is as slow as its user saw it. What it says is read from its log and never computed
again here. Our samples are of the same runs, from the start of an inference to its end.
"""

from __future__ import annotations

import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy.typing as npt

from edgetl.backends.seam import Request, Session
from edgetl.bench import clock as clocks
from edgetl.bench import harness
from edgetl.bench.clock import Clock
from edgetl.bench.scenarios.driven import AHEAD, SHARES, Driven, Load, parse, reasons
from edgetl.errors import EdgetlError, EnvironmentLacks, InputError

__all__ = ["Runner", "drive"]

DISTRIBUTION = "mlcommons-loadgen"
_NS = 1_000_000_000
SPARE = 1.3
"""Offline gets so many times the samples that fill the time: LoadGen calls a run that ended early invalid."""
HURRY = 4
"""The streams are said to be so many times as fast as the warm-up was: LoadGen makes its queries beforehand, and a run
that comes to the last of them early is invalid."""


class Runner:
    """The system under test as LoadGen sees it: it answers queries, and remembers how long each inference took.

    After a failure, or once ``stop`` is set, it answers at once without an inference: LoadGen cannot be stopped.
    """

    def __init__(
        self,
        session: Session,
        feed: Mapping[str, npt.NDArray[Any]],
        answer: Callable[[Sequence[int]], None],
        *,
        clock: Clock = clocks.system,
        ahead: int = 1,
    ) -> None:
        self._requests = [session.request() for _ in range(ahead)]
        for request in self._requests:
            request.fill(feed)
        self._answer, self._clock = answer, clock
        self.samples: list[int] = []
        self.wild: set[str] = set()
        self.stop = threading.Event()
        self.failure: Exception | None = None

    def issue(self, queries: Sequence[Any]) -> None:
        """Answer the samples of one query, each once; nothing is raised, for LoadGen would not survive it."""
        if len(queries) == 1 and not self.stop.is_set():
            return self._one(queries[0].id)
        left = deque(query.id for query in queries)
        try:
            self._run(left)
        except Exception as failure:
            self.failure = failure
            self.stop.set()
        if left:
            self._answer(list(left))

    def _one(self, ident: int) -> None:
        """A query of one sample, with as little of ours in LoadGen's time as can be."""
        request, clock = self._requests[0], self._clock
        try:
            begun = clock()
            answer = request.infer()
            ended = clock()
        except Exception as failure:
            self.failure = failure
            self.stop.set()
            self._answer([ident])
            return
        self._answer([ident])
        self._keep(begun, ended, answer)

    def _keep(self, begun: int, ended: int, answer: object) -> None:
        """Remember an inference, after it was answered."""
        try:
            clocks.refuse_back(begun, ended)
        except EdgetlError as failure:
            self.failure = failure
            self.stop.set()
            return
        self.samples.append(ended - begun)
        if len(self.samples) % harness.LOOKS == 1:
            self.wild.update(harness.wild_outputs(answer))

    def _run(self, left: deque[int]) -> None:
        """Inferences in order; each takes its sample off ``left`` when it has been answered."""
        flying: deque[tuple[Request, int]] = deque()
        for place in range(len(left)):
            if self.stop.is_set():
                break
            if len(flying) == len(self._requests):
                self._land(flying, left)
            request = self._requests[place % len(self._requests)]
            begun = self._clock()
            request.start()
            flying.append((request, begun))
        while flying:
            self._land(flying, left)

    def _land(self, flying: deque[tuple[Request, int]], left: deque[int]) -> None:
        request, begun = flying.popleft()
        answer = request.wait()
        ended = self._clock()
        self._answer([left.popleft()])
        self._keep(begun, ended, answer)


def drive(
    session: Session,
    feed: Mapping[str, npt.NDArray[Any]],
    load: Load,
    *,
    clock: Clock = clocks.system,
) -> tuple[Driven, BaseException | None]:
    """Let LoadGen drive an engine; beside what came of it, the failure or interrupt that cut it short.

    Parameters
    ----------
    feed : its inputs by name; every sample is this one, in the engine's own buffers already.

    Raises
    ------
    EnvironmentLacks : LoadGen is not installed, or could not write its log. InputError : ``server`` without a rate or
        a bound. EdgetlError : whatever the engine raised, before a first sample.
    """
    _check(load)
    loadgen = _import()
    warm = harness.warm_up(harness.engine_call(session, feed), clock)
    runner = Runner(
        session,
        feed,
        lambda ids: loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(i, 0, 0) for i in ids]),
        clock=clock,
        ahead=AHEAD if load.scenario == "offline" else 1,
    )
    with tempfile.TemporaryDirectory(prefix="edgetl-loadgen-") as folder, harness.uncollected():
        stopped = _start(loadgen, runner, _settings(loadgen, load, warm.median_ns), folder)
        log = Path(folder, "mlperf_log_detail.txt")
        said = log.read_text(errors="replace") if log.is_file() else ""
    if stopped is not None and not runner.samples:
        raise stopped
    found = {} if stopped is not None else parse(said)
    driven = Driven(
        load=load,
        version=version(DISTRIBUTION),
        valid=found.get("result_validity") == "VALID",
        met=bool(found.get("result_perf_constraints_met", True)),
        reasons=reasons(found),
        result={
            key: float(value)
            for key, value in found.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool)
        },
        samples_ns=tuple(runner.samples),
        wild=tuple(sorted(runner.wild)),
        partial="" if stopped is None else str(stopped) or "interrupted",
    )
    return driven, stopped


def _import() -> Any:
    try:
        import mlperf_loadgen
    except ImportError as error:
        raise EnvironmentLacks(
            "this scenario is driven by MLPerf's LoadGen, which is not installed",
            hint="pip install 'edgetl[scenarios]'   (--scenario camera does without)",
        ) from error
    return mlperf_loadgen


def _check(load: Load) -> None:
    if not 0 < load.seconds < float("inf") or load.runs < 1 or load.streams < 1:
        raise InputError(
            f"a scenario takes a time, runs and streams above 0, found {load.seconds:g} s, {load.runs} and "
            f"{load.streams}",
            hint="--duration SECONDS, --iterations N, --streams N",
        )
    if load.scenario == "server" and (load.bound is None or load.qps is None or load.qps <= 0):
        raise InputError(
            "--scenario server takes the rate of its arrivals and the latency that they must keep",
            hint="--fps 50 --max-latency 20ms@p99",
        )


def _settings(loadgen: Any, load: Load, median_ns: float) -> Any:
    made = loadgen.TestSettings()
    made.mode = loadgen.TestMode.PerformanceOnly
    made.min_duration_ms = max(1, round(1000 * load.seconds))
    made.min_query_count = load.runs
    if load.scenario == "single-stream":
        made.scenario = loadgen.TestScenario.SingleStream
        made.single_stream_expected_latency_ns = max(1, round(median_ns / HURRY))
    elif load.scenario == "multi-stream":
        made.scenario = loadgen.TestScenario.MultiStream
        made.multi_stream_samples_per_query = load.streams
        made.multi_stream_expected_latency_ns = max(1, round(median_ns * load.streams / HURRY))
    elif load.scenario == "server":
        assert load.bound is not None and load.qps is not None
        made.scenario = loadgen.TestScenario.Server
        made.server_target_qps = load.qps
        made.server_target_latency_ns = round(load.bound.ms * 1e6)
        made.server_target_latency_percentile = SHARES[load.bound.at]
    else:
        made.scenario = loadgen.TestScenario.Offline
        made.offline_expected_qps = SPARE * _NS / max(median_ns, 1)
    return made


def _start(loadgen: Any, runner: Runner, settings: Any, folder: str) -> BaseException | None:
    """Run the test on a thread of its own; what cut it short, for an interrupt must not reach LoadGen itself."""
    written = loadgen.LogSettings()
    output = loadgen.LogOutputSettings()
    output.outdir = folder
    output.copy_summary_to_stdout = False
    written.log_output = output
    system = loadgen.ConstructSUT(runner.issue, lambda: None)
    library = loadgen.ConstructQSL(1, 1, lambda _: None, lambda _: None)
    ended = (
        threading.Event()
    )  # a join that is interrupted takes the thread for ended (CPython 3.11, bpo-45274)

    def test() -> None:
        try:
            loadgen.StartTestWithLogSettings(system, library, settings, written)
        finally:
            ended.set()

    thread = threading.Thread(target=test)
    thread.start()
    stopped: BaseException | None = None
    while not ended.is_set():
        try:
            ended.wait()
        except KeyboardInterrupt as interrupt:
            stopped = interrupt
            runner.stop.set()
    thread.join()
    loadgen.DestroyQSL(library)
    loadgen.DestroySUT(system)
    return stopped or runner.failure
