"""The search for the fastest placement that keeps the accuracy, with judges that are told what to say."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edgetl.bench.comparison import Ratio, verdict
from edgetl.errors import BackendError
from edgetl.quantize import schemes
from edgetl.search import latency
from edgetl.search.latency import Raced
from edgetl.search.placements import PLAIN, Placement

SCHEME = schemes.find("openvino-cpu")
NAMES = (PLAIN, "a", "b", "c")


class Device:
    """Answers as it is told, and remembers what it was asked."""

    def __init__(self, times: dict[str, float], drops: dict[str, float] | None = None) -> None:
        self.times = times
        self.drops = drops or {}
        self.refused: set[str] = set()
        self.same: dict[str, str] = {}
        self.races: list[list[str]] = []
        self.judged: list[str] = []

    def make(self, placement: Placement) -> str:
        if placement.name in self.refused:
            raise BackendError("the vendor refused the graph")
        return self.same.get(placement.name, placement.name)

    def race(self, those: Sequence[Placement]) -> dict[str, Ratio]:
        self.races.append([one.name for one in those])
        return {one.name: self.ratio(self.times[one.name]) for one in those if one.name != PLAIN}

    def ratio(self, value: float) -> Ratio:
        ci95 = (value - 0.01, value + 0.01)
        return Ratio(ratio=value, ci95=ci95, verdict=verdict(ci95), instances=8)

    def drop(self, placement: Placement) -> float:
        self.judged.append(placement.name)
        return self.drops.get(placement.name, 0.0)

    def search(self, most_drop: float = 1.0) -> tuple[str, dict[str, Raced]]:
        best, rows = latency.search(
            [Placement(name, SCHEME) for name in NAMES],
            make=self.make,
            screen=self.race,
            final=self.race,
            drop=self.drop,
            most_drop=most_drop,
        )
        return best.name, {row.name: row for row in rows}


def test_the_fastest_wins_and_only_the_promising_are_timed_for_long() -> None:
    device = Device({"a": 0.95, "b": 0.9, "c": 1.2})
    best, rows = device.search()
    assert best == "b"
    assert device.races == [[PLAIN, "a", "b", "c"], [PLAIN, "b", "a"]]
    assert (rows["b"].outcome, rows["a"].outcome, rows["c"].outcome) == ("kept", "not faster", "not faster")


def test_a_placement_that_is_not_surely_faster_does_not_replace_the_plain_one() -> None:
    best, rows = Device({"a": 0.99, "b": 1.0, "c": 1.2}).search()
    assert best == PLAIN
    assert {row.outcome for row in rows.values()} == {"not faster"}


def test_speed_that_costs_too_much_accuracy_is_not_taken() -> None:
    device = Device({"a": 0.95, "b": 0.8, "c": 1.2}, drops={"b": 2.5})
    best, rows = device.search(most_drop=1.0)
    assert best == "a"
    assert rows["b"].outcome == "over the accuracy budget"
    assert rows["b"].drop_pt == 2.5
    assert device.races[-1] == [PLAIN, "a"]


def test_what_is_slow_in_the_screening_is_not_judged_at_all() -> None:
    device = Device({"a": 1.3, "b": 1.2, "c": 1.1})
    assert device.search()[0] == PLAIN
    assert device.judged == []
    assert len(device.races) == 1


def test_a_graph_that_the_device_refuses_is_told_and_the_others_race_on() -> None:
    device = Device({"a": 0.9, "b": 0.8, "c": 1.0})
    device.refused.add("b")
    best, rows = device.search()
    assert best == "a"
    assert rows["b"] == Raced(name="b", outcome="refused")


def test_the_same_model_is_timed_once() -> None:
    device = Device({"a": 0.9, "b": 0.8, "c": 1.0})
    device.same = {"a": PLAIN, "c": "b"}
    best, rows = device.search()
    assert best == "b"
    assert rows["a"].outcome == rows["c"].outcome == "the same model"
    assert device.races[0] == [PLAIN, "b"]


def test_a_device_that_takes_nothing_else_keeps_the_plain_placement() -> None:
    device = Device({})
    device.refused = {"a", "b", "c"}
    best, rows = device.search()
    assert best == PLAIN
    assert device.races == []
    assert all(row.ratio is None for row in rows.values())


def test_a_plain_model_that_is_refused_is_an_error() -> None:
    device = Device({})
    device.refused = {PLAIN}
    with pytest.raises(BackendError):
        device.search()
