"""Memory and power of an engine: measured apart, and nothing where the host has no source."""

from __future__ import annotations

from typing import Any

import pytest

from edgetl import isolate
from edgetl.bench import use
from edgetl.bench.comparison import Contender

CONTENDER = Contender(opener="tests.bench.openers:nothing")
ENERGY = {
    "source": "ina3221",
    "seconds": 3.0,
    "runs": 10,
    "watts": {"VDD_IN": 4.5, "VDD_SOC": 1.0},
    "total": "VDD_IN",
    "idle_watts": 2.0,
    "mj_per_run": 9.0,
}


def answers(monkeypatch: pytest.MonkeyPatch, energy: dict[str, Any] | None) -> list[str]:
    """What fresh processes would say, and which were asked."""
    asked: list[str] = []

    def call(function: str, arguments: Any) -> Any:
        asked.append(function.rpartition(":")[2])
        return 107.5 if function.endswith("footprint") else energy

    monkeypatch.setattr(isolate, "call", call)
    return asked


def test_power_is_that_of_the_rail_that_feeds_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers(monkeypatch, ENERGY)
    found = use.measure(CONTENDER, memory=True, power=True)
    assert found == use.Use(memory_mib=107.5, power_w=4.5, power_source="ina3221: VDD_IN")
    assert asked == ["footprint", "energy_use"]


@pytest.mark.parametrize("energy", [None, {**ENERGY, "total": None}])
def test_without_a_source_the_power_is_null(
    monkeypatch: pytest.MonkeyPatch, energy: dict[str, Any] | None
) -> None:
    answers(monkeypatch, energy)
    found = use.measure(CONTENDER, memory=False, power=True)
    assert found == use.Use()


def test_what_is_not_asked_for_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers(monkeypatch, ENERGY)
    use.measure(CONTENDER, memory=True, power=False)
    assert asked == ["footprint"]
