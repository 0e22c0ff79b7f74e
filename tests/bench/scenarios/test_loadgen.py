"""MLPerf's LoadGen drives a session that sleeps; what it says is read from its own log."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from edgetl.bench.harness import NullRequest, NullSession
from edgetl.bench.scenarios import driven, loadgen
from edgetl.bench.scenarios.driven import Load
from edgetl.errors import BackendError, EnvironmentLacks, InputError
from edgetl.types import LatencyBudget

SECONDS = 0.002
BOUND = LatencyBudget(ms=500.0, at="p90")


class Sleeping(NullSession):
    """A session whose inferences take two milliseconds; ``dies_after`` so many it fails."""

    def __init__(self, dies_after: int = 10**9, answer: float = 1.0) -> None:
        self.left, self.answer = dies_after, answer

    def request(self) -> NullRequest:
        """One that sleeps."""
        session = self

        class Request(NullRequest):
            def wait(self) -> dict[str, Any]:
                session.left -= 1
                if session.left < 0:
                    raise BackendError("the device is gone")
                time.sleep(SECONDS)
                return {"logits": np.array([session.answer], np.float32)}

        return Request()


def drive(session: NullSession | None = None, **asked: Any) -> tuple[driven.Driven, BaseException | None]:
    """A short run."""
    pytest.importorskip("mlperf_loadgen", reason="mlcommons-loadgen is not installed")
    options: dict[str, Any] = {"scenario": "single-stream", "seconds": 0.2, "runs": 70} | asked
    load = Load(**options)
    return loadgen.drive(session or Sleeping(), {}, load)


def test_single_stream_gives_loadgens_result_beside_ours() -> None:
    found, stopped = drive()
    assert stopped is None
    assert found.valid, found.reasons
    theirs = found.loadgen_ms()["p50"]
    assert theirs is not None
    ours = float(np.median(found.samples_ns)) / 1e6
    assert 0 < theirs - ours < 1.0, "its time holds ours, and a call through its binding"
    assert found.result["result_query_count"] == len(found.samples_ns)


def test_a_query_of_several_streams_takes_as_long_as_all_its_samples() -> None:
    found, _ = drive(scenario="multi-stream", streams=3)
    theirs = found.loadgen_ms()["p50"]
    assert theirs is not None
    assert theirs > 3 * SECONDS * 1000
    assert found.result["result_query_count"] * 3 == len(found.samples_ns)


def test_server_counts_from_arrival_and_keeps_its_bound_or_not() -> None:
    easy, _ = drive(scenario="server", qps=100.0, bound=BOUND)
    assert easy.met
    late = LatencyBudget(ms=0.5, at="p90")
    hard, _ = drive(scenario="server", qps=100.0, bound=late)
    assert not hard.met
    assert not hard.valid
    assert hard.reasons
    assert "INVALID" in "\n".join(hard.lines())


def test_offline_counts_samples_a_second() -> None:
    found, _ = drive(scenario="offline", runs=1)
    assert found.valid, found.reasons
    rate = found.per_second()
    assert rate is not None
    assert rate < 1 / SECONDS * driven.AHEAD
    assert found.loadgen_ms()["p50"] is not None
    assert "samples a second" in "\n".join(found.lines())


@pytest.mark.parametrize("scenario", ["single-stream", "multi-stream", "offline"])
def test_what_was_measured_outlives_an_engine_that_dies(scenario: str) -> None:
    found, stopped = drive(Sleeping(dies_after=150), scenario=scenario, streams=2)
    assert isinstance(stopped, BackendError)
    assert found.partial == "the device is gone"
    assert not found.valid
    assert 0 < len(found.samples_ns) < 150
    assert "no result: it was cut short" in "\n".join(found.lines())


def test_answers_that_are_no_numbers_are_named() -> None:
    assert drive(Sleeping(answer=float("inf")))[0].wild == ("logits",)


def test_without_loadgen_the_mend_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mlperf_loadgen", None)
    with pytest.raises(EnvironmentLacks, match="LoadGen, which is not installed") as caught:
        loadgen.drive(Sleeping(), {}, Load(scenario="offline", seconds=1, runs=1))
    assert "edgetl[scenarios]" in caught.value.hint


@pytest.mark.parametrize(
    "asked", [{"scenario": "server"}, {"scenario": "server", "qps": 10.0}, {"seconds": 0.0}, {"streams": 0}]
)
def test_what_cannot_be_asked_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="takes"):
        drive(**asked)


def test_a_log_without_a_result_and_one_cut_by_a_full_disk_are_refused() -> None:
    whole = ':::MLLOG {"key": "result_validity", "value": "VALID"}\n'
    assert driven.parse(f"x\n{whole}")["result_validity"] == "VALID"
    for log in ("", whole[:-12], ':::MLLOG {"key": "result_query_count", "value": 7}\n'):
        with pytest.raises(EnvironmentLacks, match="no result"):
            driven.parse(log)
