"""Every measurement of ``edgetl bench`` on a real bundle: its answer, its refusals, what is kept when it ends early."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edgetl.backends.seam import Request
from edgetl.bench import loads, stages, target
from edgetl.bench import soak as soaks
from edgetl.bench.loads import Asked, Loaded, Soaked
from edgetl.bench.slow import Second
from edgetl.bench.soak import Log, Soak
from edgetl.bench.target import Subject, Timed
from edgetl.errors import BackendError, EdgetlError, GateFailed, InputError
from edgetl.pipeline import Silent
from edgetl.types import LatencyBudget
from tests import handmade

SHORT = Asked(seconds=0.05, runs=64)
FOREVER = 10**9
MS = 1_000_000
FAST, SLOW = LatencyBudget(ms=1e-6), LatencyBudget(ms=1e6, at="p90")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle on ONNX Runtime."""
    root = tmp_path_factory.mktemp("loads")
    return handmade.write_bundle(
        root / "bundle", handmade.write_pictures(root / "data"), backend="onnxruntime"
    )


@pytest.fixture
def subject(place: Path) -> Iterator[Subject]:
    """It, opened."""
    with target.opened(place) as opened:
        yield opened


class Dying:
    """A session that works for so many inferences, then raises."""

    def __init__(self, session: Any, left: int, error: BaseException) -> None:
        self.left, self.error, self.pause_s = left, error, 0.0
        self._session = session
        self.inputs, self.outputs, self.facts = session.inputs, session.outputs, session.facts

    def request(self) -> Any:
        """A request that counts down."""
        request, owner = self._session.request(), self

        class Counted(Request):
            inputs = request.inputs
            fill, wait = staticmethod(request.fill), staticmethod(request.wait)

            def start(self) -> None:
                owner.left -= 1
                if owner.left < 0:
                    raise owner.error
                time.sleep(owner.pause_s)
                request.start()

        return Counted()


class Fatal(Silent):
    """Ends a dying session soon after the first word of how far a measurement is: behind every warm-up."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def advanced(self, stage: str, done: int, total: int) -> None:
        """It is under way."""
        self._session.left = min(self._session.left, 3)


def dying(subject: Subject, left: int, error: BaseException) -> Subject:
    """The engine alone, which dies."""
    session: Any = Dying(subject.session, left, error)
    return replace(subject, session=session, predictor=None)


def code(failure: EdgetlError | None) -> int:
    """The exit code of an answer."""
    return 0 if failure is None else failure.exit_code


def test_times_are_of_the_engine_the_frame_and_its_stages(subject: Subject) -> None:
    found = loads.run(subject, SHORT, Silent())
    assert isinstance(found, Timed)
    assert set(found.measured) == {"engine", "frame"}
    assert tuple(found.stages) == tuple(name for name in stages.STAGES if name != "transfer in")
    assert {len(one.samples_ns) for one in found.stages.values()} == {200}
    assert "  harness    adds" in "\n".join(found.lines())
    data = found.data()
    assert data["measurements"]["engine"]["after"]["cores"]
    assert data["measurements"]["engine"]["overhead_ns"] > 0
    assert set(data["stages_ms"]) == set(found.stages)


@pytest.mark.parametrize(("bound", "expected"), [(FAST, 1), (SLOW, 0), (LatencyBudget(ms=1e6, at="p99"), 3)])
def test_a_bound_is_kept_or_not_or_cannot_be_judged(
    subject: Subject, bound: LatencyBudget, expected: int
) -> None:
    asked = msgspec.structs.replace(SHORT, seconds=0.0, bound=bound)
    found = loads.run(replace(subject, predictor=None), asked, Silent())
    assert code(found.failure) == expected


@pytest.mark.parametrize(
    ("error", "expected"), [(BackendError("the device is gone"), 5), (KeyboardInterrupt(), 130)]
)
@pytest.mark.parametrize("how", [{}, {"scenario": "camera", "fps": 10_000.0}])
def test_what_was_measured_when_it_ended_early_is_kept_and_marked(
    subject: Subject, error: BaseException, expected: int, how: dict[str, Any]
) -> None:
    asked = msgspec.structs.replace(SHORT, seconds=20.0, **how)
    mortal = dying(subject, FOREVER, error)
    found = loads.run(mortal, asked, Fatal(mortal.session))
    assert code(found.failure) == expected
    told = "\n".join(found.lines())
    assert "partial" in told
    assert ("interrupted" if expected == 130 else "the device is gone") in told
    assert found.data()


def test_an_engine_that_dies_before_a_first_sample_is_its_own_error(subject: Subject) -> None:
    with pytest.raises(BackendError, match="gone"):
        loads.run(dying(subject, 3, BackendError("the device is gone")), SHORT, Silent())


def test_a_camera_films_a_bundle_from_frame_to_result(subject: Subject) -> None:
    asked = msgspec.structs.replace(SHORT, scenario="camera", fps=200.0, streams=2, runs=20)
    found = loads.run(subject, asked, Silent())
    assert isinstance(found, Loaded)
    data = found.data()
    assert data["arrived"] == data["answered"] + data["dropped"] == 20
    assert len(data["streams"]) == 2
    assert "from arrival to answer" in "\n".join(found.lines())


def test_loadgen_drives_the_engine_of_a_bundle(subject: Subject) -> None:
    pytest.importorskip("mlperf_loadgen", reason="mlcommons-loadgen is not installed")
    found = loads.run(
        subject, msgspec.structs.replace(SHORT, scenario="single-stream", seconds=0.2), Silent()
    )
    assert isinstance(found, Loaded)
    assert found.failure is None
    data = found.data()
    assert data["loadgen"]["valid"]
    assert data["loadgen"]["latency_ms"]["p50"] > data["latency_ms"]["p50"] > 0


def test_a_server_that_is_too_slow_for_its_bound_is_a_no(subject: Subject) -> None:
    pytest.importorskip("mlperf_loadgen", reason="mlcommons-loadgen is not installed")
    asked = msgspec.structs.replace(
        SHORT, scenario="server", fps=200.0, bound=LatencyBudget(ms=0.001, at="p90")
    )
    found = loads.run(subject, asked, Silent())
    assert code(found.failure) == 1
    assert "from their arrival" in str(found.failure)


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host on which thirty seconds of a soak, each like the others, take no time."""

    def soaked(*_: object, log: Log, **__: object) -> Soak:
        for second in range(30):
            log.add(float(second), [MS] * 100)
        return msgspec.structs.replace(log.soak(), seconds=tuple(calm(second) for second in range(30)))

    monkeypatch.setattr(soaks, "soak", soaked)


def calm(at: int) -> Second:
    """A second like any other."""
    return Second(at_s=float(at), runs=100, p50_ns=MS, mean_ns=MS, max_ns=MS, rss_mib=1.0, others=0.0)


@pytest.mark.usefixtures("steady")
@pytest.mark.parametrize(
    ("bound", "verdict", "expected", "words"),
    [
        (None, "pass", 0, "it holds out"),
        (LatencyBudget(ms=2.0), "pass", 0, "it holds out"),
        (LatencyBudget(ms=0.5), "fail", 1, "1 reason against it"),
    ],
)
def test_a_soak_gives_minutes_and_a_verdict_that_is_the_exit_code(
    subject: Subject, bound: LatencyBudget | None, verdict: str, expected: int, words: str
) -> None:
    found = loads.run(subject, Asked(seconds=1, runs=1, soak_s=30.0, bound=bound), Silent())
    assert isinstance(found, Soaked)
    data, shown = found.data(), "\n".join(found.lines())
    assert (data["verdict"], data["exit_code"], code(found.failure)) == (verdict, expected, expected)
    assert data["failure"] == (None if found.failure is None else found.failure.problem)
    assert words in shown
    assert ("against    minute 1 is 1.000 ms at p50, the bound 0.5 ms" in shown) == (expected == 1)


@pytest.mark.parametrize("bound", [None, LatencyBudget(ms=1e6, at="p99")])
def test_a_soak_that_is_too_short_to_judge_is_inconclusive(
    subject: Subject, bound: LatencyBudget | None
) -> None:
    slow = dying(subject, FOREVER, BackendError(""))
    session: Any = slow.session
    session.pause_s = 0.01  # so few runs have no p99
    found = loads.run(slow, Asked(seconds=1, runs=1, soak_s=1.2, bound=bound), Silent())
    assert isinstance(found, Soaked)
    assert found.data()["verdict"] == "inconclusive"
    assert found.data()["exit_code"] == code(found.failure) == 3
    shown = "\n".join(found.lines())
    assert ("2 s are too short to judge: it takes 6" if bound is None else "that p99 takes") in shown
    assert "too short to judge memory" in shown and "it holds out" not in shown


def test_a_soak_of_an_engine_slower_than_a_second_tells_its_time_and_not_its_rows(subject: Subject) -> None:
    rows = tuple(calm(3 * place) for place in range(20))
    shown = "\n".join(Soaked(subject, Soak(seconds=rows, minutes=()), None).lines())
    assert "soak       60 s" in shown


@pytest.mark.parametrize("how", [{}, {"scenario": "camera", "fps": 200.0}])
def test_why_an_answer_is_no_is_in_it(subject: Subject, how: dict[str, Any]) -> None:
    asked = msgspec.structs.replace(SHORT, seconds=0.0, runs=64, bound=FAST, **how)
    found = loads.run(subject, asked, Silent())
    assert found.failure is not None
    assert found.data()["failure"] == found.failure.problem
    assert found.data()["exit_code"] == 1


def test_a_soak_with_reasons_against_it_fails_and_tells_them(subject: Subject) -> None:
    rows = tuple(
        Second(
            at_s=float(k),
            runs=9,
            p50_ns=1e6 if k < 20 else 3e6,
            mean_ns=1e6,
            max_ns=9,
            rss_mib=1.0,
            others=0.5 if 5 <= k < 10 else 0.0,
        )
        for k in range(30)
    )
    found = Soaked(subject, Soak(seconds=rows, minutes=()), GateFailed("slower"))
    shown = "\n".join(found.lines())
    assert "1 reason against it" in shown
    assert "  against    slower from 0:20 to 0:30" in shown
    assert "  disturbed  0:05 to 0:10: other processes took 50 % of the processors" in shown
    assert found.data()["slow"][0]["from_s"] == 20.0
    assert found.data()["disturbed"][0]["to_s"] == 10.0


def test_many_complaints_are_counted_and_the_first_shown(subject: Subject) -> None:
    rows = tuple(
        Second(at_s=float(k), runs=9, p50_ns=3e6 if k % 10 < 4 else 1e6, mean_ns=1e6, max_ns=9)
        for k in range(130)
    )
    shown = Soaked(subject, Soak(seconds=rows, minutes=()), GateFailed("slower")).lines()
    assert "13 reasons against it" in "\n".join(shown)
    assert sum("slower from" in line for line in shown) == loads.MOST_SLOW
    assert "             and 3 more" in shown


def test_an_engine_that_answers_nan_is_timed_and_refused(subject: Subject) -> None:
    class Wild(Dying):
        def request(self) -> Any:
            made = super().request()
            made.wait = lambda: {"logits": np.array([np.nan], np.float32)}
            return made

    session: Any = Wild(subject.session, 10**9, BackendError(""))
    found = loads.run(replace(subject, session=session, predictor=None), SHORT, Silent())
    assert code(found.failure) == 1
    assert "NaN or infinity in logits" in str(found.failure)
    assert "the time of a broken engine" in "\n".join(found.lines())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"scenario": "singlestream"}, "Did you mean 'single-stream'"),
        ({"scenario": "camera", "soak_s": 60.0}, "two measurements"),
        ({"soak_s": 0.0}, "not a time above 0"),
        ({"seconds": -1.0}, "--duration -1.0"),
        ({"seconds": float("nan")}, "--duration nan"),
        ({"streams": 2}, "--streams is for --scenario camera or multi-stream"),
        ({"scenario": "offline", "fps": 30.0}, "--fps is for --scenario camera or server"),
        ({"scenario": "camera", "fps": -1.0}, "--fps -1 is not above 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words.replace("(", r"\(")):
        loads.check(msgspec.structs.replace(SHORT, **wrong))
