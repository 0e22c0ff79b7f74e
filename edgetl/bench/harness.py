"""Times one call again and again: warm-up until steady, then raw samples."""

from __future__ import annotations

import gc
import math
import statistics
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from edgetl.backends.seam import Request, Session
from edgetl.bench import activity, context
from edgetl.bench import clock as clocks
from edgetl.bench.activity import Activity
from edgetl.bench.clock import Clock
from edgetl.bench.context import Context
from edgetl.bench.measurement import Measurement
from edgetl.errors import InputError
from edgetl.types import TensorSpec

__all__ = [
    "NullRequest",
    "NullSession",
    "OwnCost",
    "Series",
    "WarmUp",
    "device_clock",
    "engine_call",
    "measure",
    "measure_call",
    "own_cost",
    "sample",
    "uncollected",
    "warm_up",
    "wild_outputs",
]

Call = Callable[[], object]
DeviceClock = Callable[[], int]
_NS = 1_000_000_000
WINDOW_RUNS = 3
STEADY = 0.03
"""Two windows of the warm-up agree when their medians differ by less than this share."""
APART = 4
"""So many windows lie between those two: neighbours agree even while the time still falls slowly."""
LOOKS = 100
"""Between runs, so often a measurement tells how far it is and looks at the engine's answer."""
NULL_RUNS = 1000


@dataclass(frozen=True)
class WarmUp:
    """How a warm-up went: its runs, whether the time settled, and the median of its last window."""

    runs: int
    steady: bool
    median_ns: float


@dataclass(frozen=True)
class OwnCost:
    """What the harness adds, measured on a session that does nothing.

    Attributes
    ----------
    inside_ns : median of its samples: each sample of an engine is too long by about so much.
    between_ns : what passes besides from one run to the next, mean.
    """

    inside_ns: float
    between_ns: float


class NullRequest(Request):
    """A request whose inference is nothing."""

    inputs: Mapping[str, npt.NDArray[Any]] = {}

    def fill(self, inputs: Mapping[str, npt.NDArray[Any]]) -> None:
        """Nothing."""

    def start(self) -> None:
        """Nothing."""

    def wait(self) -> dict[str, npt.NDArray[Any]]:
        """No outputs."""
        return {}


class NullSession:
    """A session without an engine, to time the harness by."""

    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    facts: Mapping[str, str] = {}

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """No outputs."""
        return {}

    def request(self) -> NullRequest:
        """One that does nothing."""
        return NullRequest()

    def close(self) -> None:
        """Nothing."""


class Series:
    """Samples as they are taken, so that what was measured outlives a session that dies or a user who interrupts.

    Parameters
    ----------
    what : as in ``Measurement``.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.samples: list[int] = []
        self.device: list[int] = []
        self.wild: set[str] = set()
        self.warm = WarmUp(0, False, 0.0)
        self.host = Context()
        self.began: Activity | None = None
        self.overhead_ns: float | None = None

    def measurement(self, *, threads: int | None = None, partial: str = "") -> Measurement:
        """What there is so far; ``partial`` says why there is no more."""
        return Measurement(
            what=self.what,
            samples_ns=tuple(self.samples),
            device_ns=tuple(self.device),
            warm_up_runs=self.warm.runs,
            steady=self.warm.steady,
            context=self.host,
            after=context.read(threads=threads),
            shares=activity.between(self.began, activity.read()),
            overhead_ns=self.overhead_ns,
            wild=tuple(sorted(self.wild)),
            partial=partial,
        )


def engine_call(session: Session, feed: Mapping[str, npt.NDArray[Any]]) -> Call:
    """One inference with the inputs already in the engine's own buffers, so that no copy of ours is timed."""
    return _prepared(session, feed)[0]


def device_clock(session: Session, request: object) -> DeviceClock | None:
    """Nanoseconds that the device itself took for the last inference of a request.

    A session that takes such times has a true ``timed``, and its requests ``device_ms``; ``None`` for any other.
    """
    if not getattr(session, "timed", False):
        return None
    return lambda: round(cast(Any, request).device_ms * 1e6)


def _prepared(session: Session, feed: Mapping[str, npt.NDArray[Any]]) -> tuple[Call, DeviceClock | None]:
    request = session.request()
    request.fill(feed)
    return request.infer, device_clock(session, request)


def measure(
    session: Session,
    feed: Mapping[str, npt.NDArray[Any]],
    *,
    min_seconds: float = 2.0,
    min_runs: int = 100,
    threads: int | None = None,
    clock: Clock = clocks.system,
    on_progress: Callable[[int, int], None] | None = None,
    series: Series | None = None,
) -> Measurement:
    """Time an engine alone, by the host's clock and, where the session takes such times, by the device's.

    Parameters
    ----------
    feed : its inputs by name.
    min_seconds, min_runs : sampling goes on until both are reached.
    threads : what the engine was given, for the record.
    on_progress, series : as in ``measure_call``.
    """
    call, device = _prepared(session, feed)
    return measure_call(
        call,
        "engine",
        min_seconds=min_seconds,
        min_runs=min_runs,
        threads=threads,
        clock=clock,
        on_progress=on_progress,
        device=device,
        series=series,
    )


def measure_call(
    once: Call,
    what: str = "frame",
    *,
    min_seconds: float = 2.0,
    min_runs: int = 100,
    threads: int | None = None,
    clock: Clock = clocks.system,
    on_progress: Callable[[int, int], None] | None = None,
    device: DeviceClock | None = None,
    series: Series | None = None,
) -> Measurement:
    """Time any call, such as one that takes a frame to its result.

    Parameters
    ----------
    on_progress : called with (done, expected runs) between samples, a hundred times at most.
    device : asked after each run how long the device took.
    series : where samples are put as they are taken; whoever holds it has them when the call raises.

    Raises
    ------
    InputError : the time is negative or no number, or there is to be no run. EnvironmentLacks : the clock went back.
    """
    if not 0 <= min_seconds < math.inf or min_runs < 1:
        raise InputError(
            f"a measurement takes a time from 0 on and one run at least, found {min_seconds} s and {min_runs} runs",
            hint="--duration SECONDS, --iterations N",
        )
    series = Series(what) if series is None else series
    series.overhead_ns = own_cost(clock).inside_ns
    series.warm = warm_up(once, clock)
    series.host = context.read(threads=threads)
    series.began = activity.read()
    expected = max(min_runs, math.ceil(min_seconds * _NS / max(series.warm.median_ns, 1)))
    _sample_until(once, series, device, clock, min_seconds, min_runs, expected, on_progress)
    return series.measurement(threads=threads)


def _sample_until(
    once: Call,
    series: Series,
    device: DeviceClock | None,
    clock: Clock,
    min_seconds: float,
    min_runs: int,
    expected: int,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    samples = series.samples
    stretch = math.ceil(expected / LOOKS)
    begun = last = clock()
    while len(samples) < min_runs or last - begun < min_seconds * _NS:
        with uncollected():
            while len(samples) < min_runs or last - begun < min_seconds * _NS:
                before = clock()
                answer = once()
                last = clock()
                samples.append(last - before)
                if device is not None:
                    series.device.append(device())
                if len(samples) % stretch == 0:
                    break
        clocks.refuse_back(0, min(samples[-stretch:]))
        series.wild.update(wild_outputs(answer))
        if on_progress is not None:
            on_progress(len(samples), max(expected, len(samples)))


def own_cost(clock: Clock = clocks.system, runs: int = NULL_RUNS) -> OwnCost:
    """What this harness takes, on the way that an engine goes, with nothing in its place."""
    call, _ = _prepared(NullSession(), {})
    series = Series("null")
    begun = clock()
    _sample_until(call, series, None, clock, 0.0, runs, runs, None)
    whole = clock() - begun
    return OwnCost(statistics.median(series.samples), (whole - sum(series.samples)) / runs)


def wild_outputs(answer: object) -> list[str]:
    """Names of outputs that hold NaN or infinity; none for what is no engine's answer."""
    if not isinstance(answer, Mapping):
        return []
    return [
        name
        for name, values in answer.items()
        if isinstance(values, np.ndarray)
        and np.issubdtype(values.dtype, np.floating)
        and not np.isfinite(values).all()
    ]


def warm_up(once: Call, clock: Clock, *, least_seconds: float = 0.2, most_seconds: float = 5.0) -> WarmUp:
    """Run until windows that lie apart take the same time, within limits of time."""
    window_ns = least_seconds * _NS / APART
    begun = clock()
    runs = 0
    before: deque[float] = deque(maxlen=APART)
    while True:
        window: list[int] = []
        while len(window) < WINDOW_RUNS or sum(window) < window_ns:
            window += sample(once, 1, clock)
        runs += len(window)
        now = statistics.median(window)
        steady = len(before) == APART and abs(now - before[0]) < STEADY * now
        spent = clock() - begun
        if (steady and spent >= least_seconds * _NS) or spent >= most_seconds * _NS:
            return WarmUp(runs, steady, now)
        before.append(now)


def sample(once: Call, runs: int, clock: Clock) -> list[int]:
    """Nanoseconds of each of so many runs, with the garbage collector off: its pauses are not the engine's.

    Raises
    ------
    EnvironmentLacks : the clock went back.
    """
    taken = []
    with uncollected():
        for _ in range(runs):
            begun = clock()
            once()
            taken.append(clock() - begun)
    clocks.refuse_back(0, min(taken, default=0))
    return taken


@contextmanager
def uncollected() -> Iterator[None]:
    """The garbage collector off inside, and as it was behind."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
