"""The latency model finds what made the times, and says how far it is off where it was not asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl.advise import latency_model
from edgetl.advise.cost import Cost
from edgetl.advise.latency_model import Measured
from edgetl.errors import InputError

PRICE = Cost(spatial=2e-9, pointwise=1e-9, depthwise=8e-9, weights=3e-8, others=1e-7, launches=0.004)


def networks(seed: int, count: int, noise: float = 0.0) -> list[Measured]:
    """Networks of random forms that cost ``PRICE``, each at two sizes."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        share = rng.dirichlet(np.ones(3))
        for size in (160, 224):
            total = 10 ** rng.uniform(7.5, 9.5) * (size / 224) ** 2
            terms = {
                "spatial": total * share[0],
                "pointwise": total * share[1],
                "depthwise": 0.1 * total * share[2],
                "weights": 10 ** rng.uniform(5.5, 7.5),
                "others": 10 ** rng.uniform(4.0, 6.5),
                "launches": rng.integers(20, 200),
            }
            cost = Cost(**{term: float(value) for term, value in terms.items()})
            exact = sum(getattr(cost, term) * getattr(PRICE, term) for term in Cost.__struct_fields__)
            ms = exact * float(np.exp(rng.normal(0, noise)))
            found.append(Measured(model=f"net{number}", size=size, p50_ms=ms, cost=cost))
    return found


def fitted(measured: list[Measured]) -> latency_model.LatencyModel:
    return latency_model.fit(measured, device="box", backend="openvino", host={"cpu": "any"})


@given(seed=st.integers(0, 2**16))
@settings(max_examples=20, deadline=None)
def test_times_that_the_terms_explain_are_found_again(seed: int) -> None:
    measured = networks(seed, 12)
    found = fitted(measured)
    assert found.error_worst < 1e-3
    other = networks(seed + 1, 1)[0]
    assert found.predict(other.cost) == pytest.approx(other.p50_ms, rel=1e-3)
    assert all(getattr(found.milliseconds, term) >= 0 for term in Cost.__struct_fields__)


def test_a_network_that_is_like_no_other_is_seen_in_the_error_that_leaves_it_out() -> None:
    measured = networks(0, 10)
    odd = [Measured(model="odd", size=m.size, p50_ms=5 * m.p50_ms, cost=m.cost) for m in networks(99, 1)]
    assert fitted(measured).error_worst < 1e-3
    found = fitted([*measured, *odd])
    assert found.error_worst > 0.5
    off = {m.model: abs(p / m.p50_ms - 1) for m, p in zip(found.measured, found.left_out_ms)}
    assert max(off, key=lambda name: off[name]) == "odd"


def test_few_networks_and_times_of_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="5 networks were measured, a latency model takes 6"):
        fitted(networks(0, 5))
    broken = networks(0, 6)
    broken[3] = Measured(model="net1", size=224, p50_ms=0.0, cost=broken[3].cost)
    with pytest.raises(InputError, match="not above 0"):
        fitted(broken)


def test_what_is_written_is_read_again_and_what_is_not_ours_is_refused(tmp_path: Path) -> None:
    found, file = fitted(networks(3, 8)), tmp_path / "kept" / "box.json"
    latency_model.write(found, file)
    assert latency_model.read(file) == found
    (tmp_path / "other.json").write_text('{"schema": 1}')
    with pytest.raises(InputError, match="is no latency model"):
        latency_model.read(tmp_path / "other.json")
    with pytest.raises(InputError, match="no latency model"):
        latency_model.read(tmp_path / "nowhere.json")
    newer = file.read_text().replace('"schema":1', '"schema":9')
    (tmp_path / "newer.json").write_text(newer)
    with pytest.raises(InputError, match="schema 9"):
        latency_model.read(tmp_path / "newer.json")


@pytest.mark.parametrize("unit", [0.0, -1.0, 1e300])
def test_a_file_with_times_that_no_fit_gives_is_refused(tmp_path: Path, unit: float) -> None:
    latency_model.write(hand_made(unit, 0.1), tmp_path / "odd.json")
    with pytest.raises(InputError, match="no latency model: a time a unit"):
        latency_model.read(tmp_path / "odd.json")


def test_an_error_below_nothing_is_refused(tmp_path: Path) -> None:
    latency_model.write(hand_made(1.0, -5.0), tmp_path / "odd.json")
    with pytest.raises(InputError, match="no error is below 0"):
        latency_model.read(tmp_path / "odd.json")


def hand_made(unit: float, error: float) -> latency_model.LatencyModel:
    return latency_model.LatencyModel(
        device="here",
        backend="openvino",
        host={},
        milliseconds=Cost(launches=unit),
        measured=(),
        left_out_ms=(),
        error_median=error,
        error_worst=error,
    )
