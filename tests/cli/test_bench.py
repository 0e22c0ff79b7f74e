"""``edgetl bench`` under load and for a long time: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgetl.pipeline import Silent
from tests.cli.conftest import Run

SHORT = ("--duration", "0.1", "--iterations", "20")


def test_a_camera_says_whether_the_engine_keeps_up(run: Run, bundle: Path) -> None:
    told = run("bench", bundle, *SHORT, "--scenario", "camera", "--fps", "100", "--streams", "2", "--quiet")
    assert told.code == 0
    assert "2 x 100 frames/s" in told.out
    assert "from arrival to answer" in told.out
    assert "stream 1" in told.out


def test_a_soak_ends_with_a_verdict_for_people_and_for_programs(run: Run, bundle: Path) -> None:
    told = run("bench", bundle, "--soak", "1.1s", "--json")
    found = json.loads(told.out)
    assert (told.code, found["exit_code"], found["verdict"]) == (3, 3, "inconclusive")
    assert "too short to judge" in found["failure"]
    assert found["minutes"][0]["latency_ms"]["n"] > 0
    assert found["engine"]["backend"] == "onnxruntime"
    assert found["harness"]["inside_ns"] > 0


def test_a_bound_that_is_not_kept_ends_with_1_after_the_figures(run: Run, bundle: Path) -> None:
    told = run("bench", bundle, *SHORT, "--max-latency", "0.000001ms", "--quiet")
    assert told.code == 1
    assert "engine alone" in told.out
    assert "the bound 1e-06 ms" in told.err
    under_json = run("bench", bundle, *SHORT, "--max-latency", "0.000001ms", "--json")
    assert under_json.code == 1
    found = json.loads(under_json.out)
    assert found["latency_ms"]["engine"]["p50"] > 0
    assert found["exit_code"] == 1
    assert "the bound 1e-06 ms" in found["failure"]


@pytest.mark.parametrize("command", [("bench", "--soak", "60s"), ("bench", "--duration", "60")])
def test_an_interrupt_under_json_leaves_one_object(
    run: Run, bundle: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Silent, "advanced", interrupted)
    name, *options = command
    told = run(name, bundle, *options, "--json")
    assert told.code == 130
    assert json.loads(told.out)
    assert told.err == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--soak", "0s"), "--soak 0 s is not a time above 0"),
        (("--soak", "soon"), "--soak 'soon' is not a time"),
        (("--scenario", "sever"), "Did you mean 'server'?"),
        (("--scenario", "server"), "the rate of its arrivals and the latency that they must keep"),
        (("--max-latency", "5ms@p42"), "--max-latency '5ms@p42'"),
        (("--fps", "30"), "--fps is for --scenario camera or server"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_2(
    run: Run, bundle: Path, options: tuple[str, ...], words: str
) -> None:
    told = run("bench", bundle, *options, "--quiet")
    assert told.code == 2
    assert words in told.err
