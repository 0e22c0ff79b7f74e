"""Cameras on a clock of their own: what is dropped, and from when latency counts."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, repeat

import numpy as np
import pytest

from edgetl.bench.scenarios import camera
from edgetl.bench.scenarios.camera import Camera, Film
from edgetl.errors import BackendError, EnvironmentLacks, InputError
from edgetl.testing import RecordedClock

MS = 1_000_000


def film(
    clock: RecordedClock,
    call: Callable[[], object],
    *,
    fps: float = 100.0,
    streams: int = 1,
    seconds: float = 1.0,
) -> Camera:
    """Frames every 10 ms; sleeping takes the time that it was asked for."""

    def sleep(seconds: float) -> None:
        clock.now += max(1, round(seconds * 1e9))

    return camera.play(call, fps=fps, streams=streams, seconds=seconds, clock=clock, sleep=sleep)


def test_an_engine_that_is_fast_enough_answers_every_frame_and_idles_between(clock: RecordedClock) -> None:
    found = film(clock, clock.call(repeat(4 * MS)))
    assert (found.arrived, found.dropped) == ((100,), (0,))
    assert set(found.latency_ns) == {4 * MS}
    assert found.busy == pytest.approx(0.4, abs=0.01)
    assert "keeps up, 0 of 100 frames dropped" in found.lines()[0]


def test_an_engine_that_is_too_slow_takes_the_newest_frame_and_the_others_are_counted(
    clock: RecordedClock,
) -> None:
    found = film(clock, clock.call(repeat(25 * MS)))
    assert found.arrived == (100,)
    assert len(found.latency_ns) + found.dropped[0] == 100
    assert found.dropped[0] == pytest.approx(60, abs=2)
    assert max(found.latency_ns) <= 35 * MS, "a frame waits for one inference at most: older ones are dropped"
    assert "does not keep up" in found.lines()[0]


def test_latency_counts_from_arrival_so_that_a_pause_is_not_left_out(clock: RecordedClock) -> None:
    warm = [2 * MS] * 200
    found = film(clock, clock.call(chain(warm, [9 * MS, 15 * MS, 9 * MS], repeat(2 * MS))))
    slow = [ns for ns in found.latency_ns if ns > 9 * MS]
    assert slow[0] == 15 * MS
    assert slow[1] == 14 * MS, "it took 9 ms, and had waited for 5"
    assert found.dropped == (0,)


def test_streams_are_evenly_apart_and_take_turns(clock: RecordedClock) -> None:
    found = film(clock, clock.call(repeat(4 * MS)), streams=2)
    assert found.arrived == (100, 100)
    assert found.stream[:4] == (0, 1, 0, 1)
    assert set(found.latency_ns) == {4 * MS}, "the second camera is half a period later"
    assert len([line for line in found.lines() if "stream" in line]) == 2


def test_answers_that_are_no_numbers_are_named(clock: RecordedClock) -> None:
    def once() -> dict[str, np.ndarray]:
        clock.now += MS
        return {"logits": np.array([np.nan])}

    assert film(clock, once).wild == ("logits",)


def test_what_was_filmed_outlives_an_engine_that_dies(clock: RecordedClock) -> None:
    kept = Film(100.0, 1)
    left = iter(range(300))

    def once() -> None:
        clock.now += MS
        if next(left, None) is None:
            raise BackendError("the device is gone")

    with pytest.raises(BackendError):
        camera.play(
            once,
            fps=100,
            seconds=5,
            clock=clock,
            sleep=lambda s: clock.call(iter([int(s * 1e9) + 1]))(),
            film=kept,
        )
    found = kept.camera("the device is gone")
    assert len(found.latency_ns) > 10
    assert found.partial == "the device is gone"


@pytest.mark.parametrize("wrong", [{"fps": 0.0}, {"fps": float("nan")}, {"seconds": -1.0}, {"streams": 0}])
def test_no_rate_no_time_and_no_camera_are_refused(clock: RecordedClock, wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="above 0"):
        film(clock, clock.call(repeat(MS)), **wrong)  # type: ignore[arg-type]


def test_a_clock_that_goes_back_is_refused(clock: RecordedClock) -> None:
    with pytest.raises(EnvironmentLacks, match="went back"):
        film(clock, clock.call(chain(repeat(MS, 250), repeat(-5))))
