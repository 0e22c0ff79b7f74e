"""One function in a fresh process."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from edgetl import isolate
from edgetl.errors import BackendError, Cancelled, GateFailed

ROOT = str(Path(__file__).parents[1])


def call(name: str, arguments: dict[str, Any] | None = None, **rest: Any) -> Any:
    return isolate.call(f"tests.isolated:{name}", arguments or {}, **rest)


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ROOT)


def test_arguments_go_in_and_a_result_comes_out_of_another_process() -> None:
    found = call("echo", {"a": [1, {"b": "é"}], "c": None}, env={"EDGETL_TEST_VARIABLE": "set"})
    assert found.pop("pid") != os.getpid()
    assert found == {"a": [1, {"b": "é"}], "c": None, "variable": "set"}


def test_much_output_on_both_streams_stops_nobody() -> None:
    assert call("shout", {"size": 1_000_000}) == 1_000_000


def test_large_arguments_arrive_whole() -> None:
    assert call("echo", {"text": "x" * 1_000_000})["text"] == "x" * 1_000_000


def test_every_tick_arrives_in_order() -> None:
    heard: list[tuple[int, int]] = []
    assert call("count", {"total": 3}, on_tick=lambda done, total: heard.append((done, total))) == "counted"
    assert heard == [(1, 3), (2, 3), (3, 3)]
    assert call("count", {"total": 3}) == "counted"


def test_an_error_of_ours_travels_with_class_hint_and_facts() -> None:
    with pytest.raises(GateFailed) as caught:
        call("refuse")
    error = caught.value
    assert (error.problem, error.hint, error.facts) == ("too slow", "be quick", {"limit_ms": 3.5})


def test_a_full_disk_in_the_child_is_a_full_disk_here() -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        call("fill_disk")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "/somewhere/model.bin")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_death_by_a_signal_is_named_with_the_last_words(number: signal.Signals) -> None:
    with pytest.raises(BackendError, match=f"ended by {number.name}: last words") as caught:
        call("die", {"number": int(number)})
    assert caught.value.exit_code == 5
    assert ("memory" in caught.value.hint) == (number == signal.SIGKILL)


def test_an_error_that_nobody_thought_of_is_told_with_all_it_said() -> None:
    with pytest.raises(BackendError, match="code 1: ZeroDivisionError: by zero") as caught:
        call("crash")
    assert "Traceback" in str(caught.value.facts["vendor"])


def test_a_child_that_dies_before_it_reads_is_told_like_any_other() -> None:
    """Not as a broken pipe, which the command line takes for a reader that left."""
    with pytest.raises(BackendError, match="ended with code"):
        call("echo", {"text": "x" * 4_000_000}, env={"PYTHONHOME": "/nowhere"})


@pytest.mark.parametrize("function", ["tests.isolated:nothing", "no.such.module:f"])
def test_a_function_that_is_not_there_is_told(function: str) -> None:
    with pytest.raises(BackendError):
        isolate.call(function, {})


def test_whoever_stops_a_child_leaves_no_process(tmp_path: Path) -> None:
    file = tmp_path / "pid"

    def stop(done: int, total: int) -> None:
        raise Cancelled("interrupted")

    with pytest.raises(Cancelled):
        call("linger", {"file": str(file)}, on_tick=stop)
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)
