"""``edgetl gate`` as a user runs it."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

from edgetl import gating
from edgetl.cli import gate
from edgetl.errors import InputError
from tests.bench.gated import Machine
from tests.cli.conftest import Run


@pytest.mark.parametrize(("slower", "code", "word"), [(1.0, 0, "PASS"), (1.08, 1, "FAIL")])
def test_the_answer_is_printed_and_is_the_exit_code(
    run: Run, bundle: Path, monkeypatch: pytest.MonkeyPatch, slower: float, code: int, word: str
) -> None:
    monkeypatch.setattr(gating, "compare", functools.partial(gating.compare, draw=Machine(slower)))
    told = run("gate", bundle, "--baseline", bundle, "--quiet")
    assert told.code == code
    assert word in told.out
    assert "gate.json" in told.out
    as_json = run("gate", bundle, "--baseline", bundle, "--json")
    assert as_json.code == code
    assert json.loads(as_json.out)["exit_code"] == code


def test_an_interrupt_under_json_leaves_one_object(
    run: Run, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine()

    def draw(*given: Any) -> Any:
        if machine.drawn == 10:
            raise KeyboardInterrupt
        return machine(*given)

    monkeypatch.setattr(gating, "compare", functools.partial(gating.compare, draw=draw))
    told = run("gate", bundle, "--baseline", bundle, "--json")
    assert told.code == 130
    assert json.loads(told.out)["verdict"] == "partial"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--tolerance", "0%"), 2, "--tolerance '0%' is not a percentage"),
        (("--tolerance", "much"), 2, "--tolerance 'much' is not a percentage"),
        (("--metric", "p42"), 2, "--metric"),
        (("--time-budget", "-1m"), 2, "--time-budget"),
        (("--max-latency", "fast"), 2, "--max-latency"),
        (("--max-memory", "3 apples"), 2, "--max-memory '3 apples'"),
        (("--max-energy", "-1mJ"), 2, "--max-energy '-1mJ'"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    run: Run, bundle: Path, options: tuple[str, ...], code: int, words: str
) -> None:
    told = run("gate", bundle, "--baseline", bundle, *options)
    assert told.code == code
    assert words in told.err


def test_a_baseline_that_is_not_there_is_named(run: Run, bundle: Path) -> None:
    told = run("gate", bundle, "--baseline", "nowhere")
    assert told.code == 2
    assert "nowhere" in told.err


@pytest.mark.slow
def test_a_real_engine_against_itself_is_not_slower(run: Run, bundle: Path) -> None:
    told = run("gate", bundle, "--baseline", bundle, "--tolerance", "30%", "--time-budget", "90s", "--json")
    assert told.code == 0, told.out + told.err
    assert json.loads(told.out)["models"][0]["pairs"] >= 8


@pytest.mark.parametrize(
    ("text", "mib"), [("300MiB", 300.0), ("2GiB", 2048.0), ("1MB", 1e6 / 2**20), ("64", 64.0)]
)
def test_sizes_have_units(text: str, mib: float) -> None:
    assert gate.amount(text, "--max-memory") == pytest.approx(mib)


@pytest.mark.parametrize("text", ["", "MiB", "-1MiB", "nan", "1TiB", "1 mJ"])
def test_sizes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="--max-memory"):
        gate.amount(text, "--max-memory")
