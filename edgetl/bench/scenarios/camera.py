"""Cameras: frames arrive at a fixed rate whether the engine is free or not, and an old one is dropped for a newer.

Latency counts from the moment of arrival, which the rate alone decides. So a frame that had to wait is as slow as its
user saw it: nothing is left out because the engine was busy (no coordinated omission).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from edgetl.bench import clock as clocks
from edgetl.bench import harness
from edgetl.bench.clock import Clock, Sleep
from edgetl.bench.measurement import Percentiles, percentiles_ms
from edgetl.errors import InputError
from edgetl.types import Record

__all__ = ["Camera", "Film", "play"]

_NS = 1_000_000_000
LATE_SHARE = 0.001
"""Of the frames: fewer dropped ones than this are no reason to say that the engine does not keep up."""


class Camera(Record, frozen=True, kw_only=True):
    """What was filmed.

    Attributes
    ----------
    fps : frames a second of each stream. streams : cameras, their frames evenly apart.
    seconds : how long they ran.
    arrived, dropped : frames of each stream; a dropped one was still waiting when the next of its stream came.
    stream : of each frame that was answered, in the order of the answers.
    latency_ns : from its arrival to its answer. service_ns : from its start to its answer.
    wild : outputs in which the engine answered NaN or infinity. partial : why it ended early; empty where it did not.
    """

    fps: float
    streams: int
    seconds: float
    arrived: tuple[int, ...]
    dropped: tuple[int, ...]
    stream: tuple[int, ...]
    latency_ns: tuple[int, ...]
    service_ns: tuple[int, ...]
    wild: tuple[str, ...] = ()
    partial: str = ""

    @property
    def busy(self) -> float:
        """Share of the time in which the engine worked."""
        return sum(self.service_ns) / (self.seconds * _NS) if self.seconds else 0.0

    def summary(self) -> dict[str, object]:
        """Percentiles from arrival, what was dropped, and the same for each stream."""
        return {
            "latency_ms": percentiles_ms(self.latency_ns),
            "service_ms": percentiles_ms(self.service_ns),
            "arrived": sum(self.arrived),
            "answered": len(self.latency_ns),
            "dropped": sum(self.dropped),
            "busy": self.busy,
            "streams": [
                {
                    "arrived": self.arrived[k],
                    "dropped": self.dropped[k],
                    "latency_ms": self._of(k),
                }
                for k in range(self.streams)
            ],
        }

    def lines(self) -> list[str]:
        """What an engineer asks: does it keep up, how long after its arrival is a frame answered, is there room."""
        found, service = percentiles_ms(self.latency_ns), percentiles_ms(self.service_ns)
        arrived, dropped = sum(self.arrived), sum(self.dropped)
        share = dropped / arrived if arrived else 0.0
        keeps = "keeps up" if share < LATE_SHARE else "does not keep up"
        lines = [
            f"  camera     {self.streams} x {self.fps:g} frames/s for {self.seconds:.1f} s: {keeps}, "
            f"{dropped} of {arrived} frames dropped ({100 * share:.1f} %)",
            f"  latency    {_told(found)} from arrival to answer",
            f"  service    {_told(service)} at work · busy {100 * self.busy:.0f} % of the time",
        ]
        if self.streams > 1:
            lines += [
                f"  stream {k:<3} {_told(self._of(k))} · {self.dropped[k]} of {self.arrived[k]} dropped"
                for k in range(self.streams)
            ]
        return lines

    def _of(self, stream: int) -> Percentiles:
        return percentiles_ms([ns for k, ns in zip(self.stream, self.latency_ns) if k == stream])


def _told(found: Percentiles) -> str:
    told = [("p50", found["p50"]), ("p90", found["p90"]), ("p99", found["p99"])]
    return ", ".join(f"{name} {'n/a' if ms is None else f'{ms:.2f} ms'}" for name, ms in told)


class Film:
    """Frames as they are answered, so that what was measured outlives an engine that dies or a user who interrupts."""

    def __init__(self, fps: float, streams: int) -> None:
        self.fps, self.streams = fps, streams
        self.stream: list[int] = []
        self.latency: list[int] = []
        self.service: list[int] = []
        self.dropped = [0] * streams
        self.seen = [0] * streams
        self.wild: set[str] = set()
        self.elapsed_ns = 0

    def camera(self, partial: str = "") -> Camera:
        """What there is so far; ``partial`` says why there is no more."""
        return Camera(
            fps=self.fps,
            streams=self.streams,
            seconds=self.elapsed_ns / _NS,
            arrived=tuple(self.seen),
            dropped=tuple(self.dropped),
            stream=tuple(self.stream),
            latency_ns=tuple(self.latency),
            service_ns=tuple(self.service),
            wild=tuple(sorted(self.wild)),
            partial=partial,
        )


def play(
    once: Callable[[], object],
    *,
    fps: float,
    streams: int = 1,
    seconds: float,
    clock: Clock = clocks.system,
    sleep: Sleep = clocks.sleep,
    film: Film | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Camera:
    """Answer frames of cameras for a time.

    The engine takes the frame that has waited longest among the newest of each stream, and sleeps where none waits:
    what sleep costs it (caches, clocks, the time to wake up) is part of the latency, as in the application.

    Parameters
    ----------
    once : takes a frame to its answer.
    fps : of each stream. streams : of the same rate, evenly apart. seconds : frames arrive for so long.
    film : where frames are put as they are answered; whoever holds it has them when the call raises.
    on_progress : called with (frames arrived, all frames) once a second or so.

    Raises
    ------
    InputError : a rate, a time or a number of streams that is not above 0. EnvironmentLacks : the clock went back.
    """
    if not (0 < fps < math.inf and 0 < seconds < math.inf and streams >= 1):
        raise InputError(
            f"cameras take a rate, a time and a number of streams above 0, found {fps:g} frames/s, {seconds:g} s "
            f"and {streams}",
            hint="--fps 30 --duration 10 --streams 1",
        )
    film = Film(fps, streams) if film is None else film
    harness.warm_up(once, clock)
    schedule = _Schedule(fps, streams, max(1, math.floor(seconds * fps)), clock())
    told = 0
    with harness.uncollected():
        while (stream := schedule.next_stream()) is not None:
            _wait_for(schedule.arrival(stream, schedule.waiting[stream]), clock, sleep)
            began = clock()
            dropped, arrived = schedule.take(stream, began)
            answer = once()
            ended = clock()
            clocks.refuse_back(began, ended)
            film.dropped[stream] += dropped
            film.seen[stream] = schedule.waiting[stream]
            film.stream.append(stream)
            film.latency.append(ended - arrived)
            film.service.append(ended - began)
            film.elapsed_ns = ended - schedule.begun
            film.wild.update(harness.wild_outputs(answer))
            if on_progress is not None and sum(film.seen) - told >= fps * streams:
                told = sum(film.seen)
                on_progress(told, schedule.each * streams)
    return film.camera()


class _Schedule:
    """When frames arrive, and which of each stream is the next that nobody took.

    Parameters
    ----------
    each : frames of a stream. begun : the moment of the first.
    """

    def __init__(self, fps: float, streams: int, each: int, begun: int) -> None:
        self.streams, self.each, self.begun = streams, each, begun
        self.waiting = [0] * streams
        self._period = _NS / fps

    def arrival(self, stream: int, frame: int) -> int:
        """The moment of a frame; the streams are evenly apart."""
        return self.begun + round((frame + stream / self.streams) * self._period)

    def next_stream(self) -> int | None:
        """The stream whose frame has waited longest, or comes first; ``None`` when all are through."""
        open_streams = [k for k in range(self.streams) if self.waiting[k] < self.each]
        return min(open_streams, key=lambda k: self.arrival(k, self.waiting[k]), default=None)

    def take(self, stream: int, now: int) -> tuple[int, int]:
        """Take the newest frame that is there: how many older ones were dropped for it, and when it arrived."""
        first = frame = self.waiting[stream]
        while frame + 1 < self.each and self.arrival(stream, frame + 1) <= now:
            frame += 1
        self.waiting[stream] = frame + 1
        return frame - first, self.arrival(stream, frame)


def _wait_for(moment: int, clock: Clock, sleep: Sleep) -> None:
    while (left := moment - clock()) > 0:
        sleep(left / _NS)
