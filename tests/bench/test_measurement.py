"""Statistics are made on reading, and only with support."""

from __future__ import annotations

import msgspec
import pytest

from edgetl import digest
from edgetl.bench.context import Context
from edgetl.bench.measurement import Measurement, percentiles_ms


def measured(samples: int) -> Measurement:
    """Samples of 1, 2, 3 ... milliseconds."""
    return Measurement(
        what="engine",
        samples_ns=tuple(1_000_000 * k for k in range(1, samples + 1)),
        warm_up_runs=3,
        steady=True,
        context=Context(),
    )


@pytest.mark.parametrize(
    ("n", "told"),
    [
        (10, []),
        (11, ["p50"]),
        (63, ["p50"]),
        (64, ["p50", "p90"]),
        (661, ["p50", "p90"]),
        (662, ["p50", "p90", "p99"]),
    ],
)
def test_a_percentile_without_support_is_not_told(n: int, told: list[str]) -> None:
    found = dict(percentiles_ms(measured(n).samples_ns))
    assert [name for name in ("p50", "p90", "p99") if found[name] is not None] == told
    assert found["n"] == n


def test_percentiles_are_in_milliseconds() -> None:
    assert measured(101).percentile_ms(0.5) == 51.0
    low, high = measured(101).interval_ms(0.5) or (0.0, 0.0)
    assert low < 51.0 < high


def test_a_measurement_survives_being_written() -> None:
    before = measured(70)
    assert msgspec.json.decode(digest.canonical_json(before), type=Measurement) == before
