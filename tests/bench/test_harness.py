"""The harness, on a clock of its own: no test here depends on the time of day."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from itertools import chain, count, cycle, repeat
from typing import Any

import numpy as np
import pytest

from edgetl.backends.seam import Request
from edgetl.bench import harness
from edgetl.errors import BackendError, EnvironmentLacks, InputError
from edgetl.testing import RecordedClock

MS = 1_000_000


class Counted(Request):
    """Counts what is done to it."""

    def __init__(self) -> None:
        self.filled = self.started = self.waited = self.inferred = 0

    inputs: Mapping[str, Any] = {}

    def fill(self, inputs: Mapping[str, Any]) -> None:
        self.filled += 1

    def start(self) -> None:
        self.started += 1

    def wait(self) -> dict[str, Any]:
        self.waited += 1
        return {}

    def infer(self) -> dict[str, Any]:
        self.inferred += 1
        return super().infer()


class Session:
    """Hands out one request."""

    def __init__(self) -> None:
        self.one = Counted()

    def request(self) -> Counted:
        return self.one


def test_warm_up_goes_on_until_the_time_has_settled(clock: RecordedClock) -> None:
    slow_start = chain((10 * MS - k * 40_000 for k in range(200)), repeat(2 * MS))
    warm = harness.warm_up(clock.call(slow_start), clock)
    assert warm.steady
    assert warm.runs > 200
    assert warm.median_ns == 2 * MS


def test_warm_up_of_a_thing_that_never_settles_ends_and_says_so(clock: RecordedClock) -> None:
    growing = (MS + k * MS for k in range(10_000))
    warm = harness.warm_up(clock.call(growing), clock, most_seconds=1.0)
    assert not warm.steady
    assert clock.now < 3e9


@pytest.mark.parametrize("least", [0.1, 0.5])
def test_warm_up_of_a_steady_thing_takes_its_least_time_and_little_more(
    clock: RecordedClock, least: float
) -> None:
    harness.warm_up(clock.call(repeat(MS)), clock, least_seconds=least)
    assert least * 1e9 <= clock.now <= 1.3 * least * 1e9


def test_every_sample_is_kept_in_order_and_the_warm_up_is_not(clock: RecordedClock) -> None:
    times = chain(repeat(2 * MS, 400), cycle([3 * MS, 5 * MS]))
    found = harness.measure_call(clock.call(times), min_seconds=0, min_runs=10, clock=clock)
    assert len(found.samples_ns) == 10
    assert found.warm_up_runs <= 400
    assert (
        harness.measure_call(clock.call(cycle([MS])), min_seconds=0, min_runs=7, clock=clock).samples_ns
        == (MS,) * 7
    )


@pytest.mark.parametrize(("seconds", "runs", "expected"), [(1.0, 10, 500), (0.0, 700, 700)])
def test_sampling_ends_when_both_the_time_and_the_runs_are_reached(
    clock: RecordedClock, seconds: float, runs: int, expected: int
) -> None:
    found = harness.measure_call(clock.call(repeat(2 * MS)), min_seconds=seconds, min_runs=runs, clock=clock)
    assert len(found.samples_ns) == expected


def test_an_engine_is_timed_through_one_request_that_was_filled_once(clock: RecordedClock) -> None:
    session = Session()

    def start() -> None:
        session.one.started += 1
        clock.now += MS

    session.one.start = start  # type: ignore[method-assign]
    found = harness.measure(session, {"input": np.zeros(1)}, min_seconds=0, min_runs=64, clock=clock)  # type: ignore[arg-type]
    assert session.one.filled == 1
    assert session.one.inferred == session.one.started == session.one.waited == found.warm_up_runs + 64
    assert found.what == "engine"


def test_the_garbage_collector_is_off_while_sampling_and_on_again_after_a_failure(
    clock: RecordedClock,
) -> None:
    seen = []

    def once() -> None:
        seen.append(gc.isenabled())
        raise RuntimeError("died")

    with pytest.raises(RuntimeError, match="died"):
        harness.sample(once, 1, clock)
    assert seen == [False]
    assert gc.isenabled()


def test_the_harness_tells_what_it_costs_with_every_result(clock: RecordedClock) -> None:
    assert (
        harness.measure_call(clock.call(repeat(MS)), min_seconds=0, min_runs=7, clock=clock).overhead_ns == 0
    )
    ticking = count(0, 50)
    cost = harness.own_cost(lambda: next(ticking), runs=100)
    assert cost.inside_ns == 50
    assert cost.between_ns >= 50


@pytest.mark.parametrize("wrong", [{"min_seconds": -1.0}, {"min_seconds": float("nan")}, {"min_runs": 0}])
def test_no_time_and_no_run_are_refused(clock: RecordedClock, wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="from 0 on and one run"):
        harness.measure_call(clock.call(repeat(MS)), clock=clock, **wrong)  # type: ignore[arg-type]


def test_a_clock_that_goes_back_is_refused(clock: RecordedClock) -> None:
    with pytest.raises(EnvironmentLacks, match="the clock went back by 5 ns"):
        harness.sample(clock.call(chain(repeat(MS, 3), repeat(-5))), 4, clock)
    with pytest.raises(EnvironmentLacks, match="the clock went back by 5 ns"):
        harness.measure_call(clock.call(chain(repeat(MS, 500), repeat(-5))), min_runs=900, clock=clock)


def test_what_was_measured_outlives_a_session_that_dies(clock: RecordedClock) -> None:
    def dying() -> Iterator[int]:
        yield from repeat(MS, 500)
        raise BackendError("the device is gone")

    series = harness.Series("engine")
    with pytest.raises(BackendError):
        harness.measure_call(clock.call(dying()), min_runs=900, clock=clock, series=series)
    found = series.measurement(partial="the device is gone")
    assert 100 < len(found.samples_ns) <= 500
    assert found.warm_up_runs + len(found.samples_ns) == 500
    assert found.steady
    assert found.partial == "the device is gone"


def test_an_answer_that_turns_into_nan_while_it_is_timed_is_named(clock: RecordedClock) -> None:
    turns = count()

    def once() -> dict[str, np.ndarray]:
        clock.now += MS
        return {"logits": np.array([np.nan if next(turns) > 600 else 1.0]), "kept": np.array([1.0])}

    assert harness.measure_call(once, min_seconds=0, min_runs=100, clock=clock).wild == ()
    assert harness.measure_call(once, min_seconds=0, min_runs=600, clock=clock).wild == ("logits",)
    assert harness.wild_outputs({"labels": np.array([1, 2])}) == []
    assert harness.wild_outputs(None) == []


def test_the_devices_own_time_is_kept_apart_where_a_session_takes_it(clock: RecordedClock) -> None:
    class Timed(Session):
        timed = True

    session = Timed()
    session.one.device_ms = 0.25  # type: ignore[attr-defined]
    session.one.start = lambda: clock.call(repeat(MS))()  # type: ignore[method-assign]
    found = harness.measure(session, {}, min_seconds=0, min_runs=64, clock=clock)  # type: ignore[arg-type]
    assert found.samples_ns == (MS,) * 64
    assert found.device_ns == (250_000,) * 64
