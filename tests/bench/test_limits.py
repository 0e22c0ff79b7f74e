"""Hard limits: over, within, and what cannot be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.bench import comparison, energy, limits
from edgetl.bench.limits import Limits
from edgetl.errors import EnvironmentLacks
from edgetl.types import LatencyBudget
from tests import handmade

MEASURED = {"p50": 2.0, "p90": 3.0, "p99": None, "n": 100}


@pytest.mark.parametrize(
    ("limit", "verdict"),
    [
        (LatencyBudget(ms=2.0), "within"),
        (LatencyBudget(ms=1.9), "over"),
        (LatencyBudget(ms=2.9, at="p90"), "over"),
        (LatencyBudget(ms=9.0, at="p99"), "unproven"),
    ],
)
def test_latency_is_held_at_its_percentile(limit: LatencyBudget, verdict: str) -> None:
    held = limits.latency(limit, MEASURED)  # type: ignore[arg-type]
    assert held.verdict == verdict
    assert limit.at in held.sentence


def test_memory_is_of_a_fresh_process_that_runs_the_engine(tmp_path: Path) -> None:
    place = handmade.write_bundle(
        tmp_path / "b", handmade.write_pictures(tmp_path / "data"), backend="onnxruntime"
    )
    engine = comparison.of_engine(place / "engine")
    (held,) = limits.measure(Limits(memory_mib=1.0), engine)
    assert held.verdict == "over"
    assert held.value is not None and 20 < held.value < 2000
    assert limits.measure(Limits(), engine) == []


def test_energy_without_a_source_is_refused_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(energy, "meter", lambda: None)
    limits.check(Limits(memory_mib=1.0))
    with pytest.raises(EnvironmentLacks, match="no RAPL, INA3221 or tegrastats"):
        limits.check(Limits(energy_mj=1.0))
