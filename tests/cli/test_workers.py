"""What the processes do that torchrun starts, by its environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from edgetl.cli import env, workers
from edgetl.errors import EnvironmentLacks, GateFailed, InputError
from edgetl.processes import Processes

TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "node-7",
    "MASTER_PORT": "29500",
    "TORCHELASTIC_RUN_ID": "x",
    "TORCHELASTIC_RESTART_COUNT": "1",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
}


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> Processes:
    """The environment of a process that torchrun started, and what it says."""
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    found = env.processes()
    assert found is not None
    return found


def test_torchrun_says_which_process_this_is(launched: Processes) -> None:
    assert launched == Processes(
        rank=3, count=4, local_rank=1, local_count=2, host="node-7", port=29500, attempt=1
    )


def test_without_torchrun_or_with_one_process_there_are_none(
    launched: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert env.processes() is None
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    assert env.processes() is None


def test_a_torchrun_without_a_store_is_named(launched: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "False")
    with pytest.raises(EnvironmentLacks) as caught:
        env.processes()
    assert "TORCH_DISABLE_SHARE_RDZV_TCP_STORE" in caught.value.hint


def refuse(arguments: list[str]) -> int:
    """A command that must not be run."""
    raise AssertionError(arguments)


def test_one_process_runs_what_does_not_train(launched: Processes) -> None:
    assert workers.run(launched, ["check", "demo"], refuse) == 0
    assert workers.run(None, ["check"], lambda arguments: len(arguments)) == 1


@pytest.mark.parametrize(
    ("failure", "code", "said"),
    [
        (InputError("7.png is truncated"), 2, "error: process 3: 7.png is truncated"),
        (EnvironmentLacks("another process ended", lost=True), 5, ""),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_a_follower_says_only_what_the_leading_process_cannot_know(
    launched: Processes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failure: BaseException,
    code: int,
    said: str,
) -> None:
    def fail(processes: Processes) -> None:
        raise failure

    monkeypatch.setattr("edgetl.stages.together.follow", fail)
    assert workers.run(launched, ["--debug", "train", "--data", "x"], refuse) == code
    assert capsys.readouterr().err.strip() == said


def test_a_follower_is_there_for_the_training_after_one_that_diverged(
    launched: Processes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: list[bool | GateFailed] = [True, GateFailed("the loss is nan"), True, False]
    asked: list[int] = []

    def call(function: str, arguments: Mapping[str, Any], **rest: object) -> bool:
        assert function == "edgetl.transfer.together:follow_json"
        asked.append(arguments["number"])
        answer = answers[len(asked) - 1]
        if isinstance(answer, GateFailed):
            raise answer
        return answer

    monkeypatch.setattr("edgetl.isolate.call", call)
    assert workers.run(launched, ["train", "--data", "x"], refuse) == 0, (
        "torchrun ends with the leading one's code"
    )
    assert asked == [1, 2, 3, 4] and not capsys.readouterr().err


@pytest.mark.parametrize(("code", "told"), [(0, 1), (1, 1), (130, 0)])
def test_the_leading_process_lets_the_others_go_however_its_command_ended(
    launched: Processes, monkeypatch: pytest.MonkeyPatch, code: int, told: int
) -> None:
    dismissed: list[Processes] = []
    monkeypatch.setattr("edgetl.stages.together.dismiss", dismissed.append)
    leading = msgspec.structs.replace(launched, rank=0)
    assert workers.run(leading, ["train", "--data", "x"], lambda arguments: code) == code
    assert len(dismissed) == told, "an interrupt reaches all of them by torchrun"
