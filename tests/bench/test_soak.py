"""A soak on a clock of its own, and its judgements on made-up seconds."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from itertools import chain, count, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgetl.bench import soak
from edgetl.bench.slow import Second, periods
from edgetl.bench.soak import Log, Soak
from edgetl.errors import BackendError, EnvironmentLacks, InputError
from edgetl.testing import RecordedClock

MS = 1_000_000


def second(at: int, ms: float = 10.0, mean: float | None = None, **more: Any) -> Second:
    """One second."""
    return Second(
        at_s=float(at), runs=100, p50_ns=ms * MS, mean_ns=(mean or ms) * MS, max_ns=int(ms * MS), **more
    )


def seconds(ms: list[float], seed: int = 0, **more: list[Any]) -> list[Second]:
    """Seconds with one percent of noise on their time."""
    noise = np.random.default_rng(seed).normal(1, 0.01, len(ms))
    return [
        second(k, one * noise[k], **{name: values[k] for name, values in more.items()})
        for k, one in enumerate(ms)
    ]


def test_seconds_and_minutes_are_kept_with_their_order_statistics(
    clock: RecordedClock, tmp_path: Path
) -> None:
    found = soak.soak(clock.call(repeat(10 * MS)), seconds=90, clock=clock, log=Log(tmp_path))
    assert len(found.seconds) == 90
    assert {one.runs for one in found.seconds} == {100}
    assert [one.latency_ms["n"] for one in found.minutes] == [6000, 3000]
    assert found.minutes[0].latency_ms["p99"] == 10.0
    assert found.complaints() == []


def test_runs_of_seconds_make_minutes_by_the_clock(clock: RecordedClock, tmp_path: Path) -> None:
    found = soak.soak(clock.call(repeat(7000 * MS)), seconds=130, clock=clock, log=Log(tmp_path))
    assert [one.at_s for one in found.minutes] == [0.0, 60.0, 120.0]


@pytest.mark.parametrize("slower", [1.25, 2.0])
def test_a_throttled_period_is_found_with_its_length_and_its_size(slower: float) -> None:
    (found,) = periods(seconds([10.0] * 30 + [10.0 * slower] * 10 + [10.0] * 20))
    assert (found.from_s, found.to_s) == (30.0, 40.0)
    assert found.slower == pytest.approx(slower - 1, abs=0.03)
    assert "nothing that this host shows explains it" in found.sentence()


def test_a_core_taken_in_slices_shows_in_the_mean_alone() -> None:
    rows = [second(k, 10.0, 10.0 if not 20 <= k < 30 else 15.0) for k in range(60)]
    (found,) = periods(rows)
    assert (found.from_s, found.to_s) == (20.0, 30.0)


def test_a_board_that_throttles_for_most_of_the_time_is_slow_then_and_not_fast_before() -> None:
    (found,) = periods(seconds([10.0] * 200 + [14.0] * 400))
    assert (found.from_s, found.to_s) == (200.0, 600.0)


@pytest.mark.parametrize("seed", range(20))
def test_noise_and_hiccups_are_no_throttling(seed: int) -> None:
    times = [10.0] * 300
    for place in (50, 51, 170):
        times[place] = 30.0
    assert periods(seconds(times, seed)) == []
    assert periods([second(k) for k in range(5)]) == []


@pytest.mark.parametrize(
    ("field", "usual", "then", "words"),
    [
        ("others", 0.02, 0.5, "other processes took 50 % of the processors"),
        ("stolen", 0.0, 0.3, "the hypervisor took 30 % of the processors"),
        ("clock_mhz", 1500.0, 900.0, "the clock fell from 1500 to 900 MHz"),
        ("temperature_c", 60.0, 92.0, "at 92 C, 60 C otherwise"),
    ],
)
def test_what_else_was_different_is_told(field: str, usual: float, then: float, words: str) -> None:
    state: dict[str, Any] = {field: [usual] * 20 + [then] * 8 + [usual] * 20}
    (found,) = periods(seconds([10.0] * 20 + [15.0] * 8 + [10.0] * 20, **state))
    assert found.because == words


def test_a_counter_that_rose_in_the_period_is_named() -> None:
    counts = [{"core": 5}] * 20 + [{"core": 5 + k} for k in range(8)] + [{"core": 12}] * 20
    (found,) = periods(seconds([10.0] * 20 + [15.0] * 8 + [10.0] * 20, throttle=counts))
    assert found.because == "throttling counted by core"


def restless(seed: int, jumps: float = 0.25) -> list[float]:
    """Milliseconds of a machine whose neighbours come and go: every few seconds another level."""
    rng = np.random.default_rng(seed)
    levels = np.repeat(10.0 * (1 + jumps * rng.random(30)), 2)
    return [float(one) for one in levels * rng.normal(1, 0.01, 60)]


@pytest.mark.parametrize("seed", range(10))
def test_what_the_host_shows_has_its_ends_also_on_a_restless_machine(seed: int) -> None:
    others = [0.01] * 25 + [0.48] * 10 + [0.01] * 25
    found = periods(seconds(restless(seed), others=others))
    assert (25.0, 35.0) in [(one.from_s, one.to_s) for one in found if one.because]


def test_periods_part_where_their_cause_begins() -> None:
    others = [0.0] * 30 + [0.5] * 10 + [0.0] * 30
    found = periods(seconds([10.0] * 20 + [15.0] * 20 + [10.0] * 30, others=others))
    assert [(one.from_s, one.to_s, bool(one.because)) for one in found] == [
        (20.0, 30.0, False),
        (30.0, 40.0, True),
    ]


def test_load_of_others_that_costs_nothing_is_told_and_is_no_complaint() -> None:
    others = [0.0] * 20 + [0.5] * 10 + [0.0] * 20
    found = Soak(seconds=tuple(seconds([10.0] * 50, others=others)), minutes=())
    assert found.complaints() == [] and found.slow() == []
    (period,) = found.disturbed()
    assert period.sentence() == (
        "0:20 to 0:30: other processes took 50 % of the processors for 10 s, and the engine was hardly slower"
    )


def test_a_counter_that_always_rises_hides_no_slow_period() -> None:
    counts = [{"cgroup": k} for k in range(300)]
    times = [10.0] * 100 + [30.0] * 60 + [10.0] * 140
    slow = [one for one in periods(seconds(times, throttle=counts)) if one.is_slow]
    assert [(one.from_s, one.to_s, one.because) for one in slow] == [
        (100.0, 160.0, "throttling counted by cgroup")
    ]


def test_a_board_that_throttles_for_nearly_all_of_a_soak_is_slow_then() -> None:
    found = periods(
        seconds(
            [10.0] * 60 + [20.0] * 1740,
            clock_mhz=[2000.0] * 60 + [1000.0] * 1740,
            temperature_c=[60.0] * 60 + [85.0] * 1740,
        )
    )
    (period,) = found
    assert (period.from_s, period.to_s, period.is_slow) == (60.0, 1800.0, True)
    assert period.because == "the clock fell from 2000 to 1000 MHz, at 85 C, 60 C otherwise"


def test_load_of_others_that_costs_nothing_is_no_slow_period_however_uneven_the_engine() -> None:
    complained = 0
    for seed in range(50):
        uneven = np.exp(0.35 * np.abs(np.random.default_rng(seed).normal(size=120)))
        rows = [
            second(k, 1.0, mean, others=0.2 if 40 <= k < 60 else 0.0)
            for k, mean in enumerate(uneven.tolist())
        ]
        complained += any(one.is_slow for one in periods(rows))
    assert complained <= 2


def test_times_of_nothing_are_no_slow_period() -> None:
    assert periods([second(k, 0.0) for k in range(60)]) == []


def test_keeping_seconds_takes_no_memory_after_the_first(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.reserve(200)
    samples = list(range(10**6, 10**6 + 5000))
    log.add(0.0, samples)
    tracemalloc.start()
    for second_number in range(1, 180):
        log.add(float(second_number), samples)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 32_000, "of 7 MB of times"
    assert len(log.soak().seconds) == 180 and len(log.minutes) == 3


def test_a_log_that_was_given_no_room_keeps_every_row_and_counter(tmp_path: Path) -> None:
    events = tmp_path / "sys/class/hwmon/hwmon0/oc1_event_cnt"
    log = Log(tmp_path)
    log.add(0.0, [5])
    events.parent.mkdir(parents=True)
    for row in range(1, 9):
        events.write_text(f"{row}\n")
        log.add(float(row), [5 + row])
    kept = log.seconds()
    assert [one.max_ns for one in kept] == list(range(5, 14))
    assert [one.throttle for one in kept] == [None, *({"oc1": row} for row in range(1, 9))]


def test_a_soak_of_years_asks_for_no_more_memory_than_one_of_a_week(tmp_path: Path) -> None:
    tracemalloc.start()
    Log(tmp_path).reserve(10**9)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 64 << 20


def test_memory_that_keeps_coming_is_told_and_a_pool_that_fills_once_is_not() -> None:
    leak = Soak(seconds=tuple(second(k, rss_mib=100 + 0.1 * k) for k in range(600)), minutes=())
    pool = Soak(seconds=tuple(second(k, rss_mib=100 + min(k, 90) * 0.5) for k in range(600)), minutes=())
    assert leak.growth_mib() == pytest.approx(30, rel=0.05)
    (told,) = leak.complaints()
    assert "memory grows by" in told and "360 MiB an hour" in told
    assert pool.complaints() == []
    assert Soak(seconds=(second(0),), minutes=()).growth_mib() is None
    short = tuple(second(k, rss_mib=100.0 + k) for k in range(18))
    assert Soak(seconds=short, minutes=()).growth_mib() is None, "nine seconds prove no trend"


def test_what_was_measured_outlives_an_engine_that_dies(clock: RecordedClock, tmp_path: Path) -> None:
    def dying() -> Iterator[int]:
        yield from repeat(10 * MS, 1000)
        raise BackendError("the device is gone")

    log = Log(tmp_path)
    with pytest.raises(BackendError):
        soak.soak(clock.call(dying()), seconds=60, clock=clock, log=log)
    found = log.soak("the device is gone")
    assert 5 <= len(found.seconds) <= 10
    assert len(found.minutes) == 1
    assert found.partial == "the device is gone"


def test_answers_that_are_no_numbers_are_a_complaint(clock: RecordedClock, tmp_path: Path) -> None:
    turns = count()

    def once() -> dict[str, np.ndarray]:
        clock.now += 100 * MS
        return {"logits": np.array([np.nan if next(turns) > 40 else 1.0])}

    found = soak.soak(once, seconds=20, clock=clock, log=Log(tmp_path))
    assert found.complaints() == ["the engine answers NaN or infinity in logits"]


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_no_time_is_refused(clock: RecordedClock, wrong: float) -> None:
    with pytest.raises(InputError, match="above 0"):
        soak.soak(clock.call(repeat(MS)), seconds=wrong, clock=clock)


def test_a_clock_that_goes_back_is_refused(clock: RecordedClock, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentLacks, match="went back"):
        soak.soak(clock.call(chain(repeat(MS, 3000), repeat(-5))), seconds=60, clock=clock, log=Log(tmp_path))
