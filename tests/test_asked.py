"""What is asked for is brought to one form, or refused with the option, the value and what it takes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from edgetl import asked
from edgetl.errors import InputError
from edgetl.types import BuildSpec


def test_paths_numbers_and_percent_are_taken_from_python() -> None:
    spec = asked.spec_of(data=Path("images"), batch=4, max_drop="1%", out=Path("runs"), weights=Path("w.pth"))
    assert (spec.data, spec.batch, spec.max_drop, spec.out, spec.weights) == (
        "images",
        "4",
        1.0,
        "runs",
        "w.pth",
    )


def test_a_time_budget_is_seconds_minutes_or_hours() -> None:
    assert [asked.spec_of(data="x", time_budget=t).time_budget for t in ("90s", "30m", "1.5h", 20)] == [
        90.0,
        1800.0,
        5400.0,
        20.0,
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"data": "x", "modle": "tiny"}, "modle"),
        ({}, "data"),
        ({"data": "x", "epochs": "many"}, "epochs"),
        ({"data": "x", "max_drop": "much"}, "not a budget"),
        ({"data": "x", "time_budget": "soon"}, "not a time"),
        ({"data": "x", "time_budget": "30"}, "not a time"),
        ({"data": "x", "time_budget": "-1m"}, "not a time"),
        ({"data": "x", "time_budget": ""}, "not a time"),
    ],
)
def test_what_is_not_of_its_kind_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        asked.spec_of(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr": -1.0}, "--lr -1"),
        ({"lr": math.nan}, "--lr nan"),
        ({"lr": math.inf}, "--lr inf"),
        ({"epochs": 0}, "--epochs 0"),
        ({"batch_size": 0}, "--batch-size 0"),
        ({"calib_samples": 0}, "--calib-samples 0"),
        ({"instances": 0}, "--instances 0"),
        ({"max_drop": -1.0}, "--max-drop -1"),
        ({"time_budget": -1.0}, "--time-budget -1"),
        ({"time_budget": math.inf}, "--time-budget inf"),
        ({"max_drop": math.nan}, "--max-drop nan"),
        ({"name": "latest"}, "--name 'latest'"),
        ({"name": "../x"}, "no name for a folder"),
        ({"name": "/abs"}, "no name for a folder"),
        ({"name": ".."}, "no name for a folder"),
        ({"name": ".hidden"}, "no name for a folder"),
        ({"name": ""}, "no name for a folder"),
        ({"name": "x" * 300}, "300 characters"),
    ],
)
def test_numbers_and_names_that_no_build_can_use_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        asked.check(BuildSpec(data="x", **options))
    assert words in caught.value.problem
    assert caught.value.hint


def test_an_ordinary_request_passes() -> None:
    asked.check(BuildSpec(data="x", name="my-cam_2", lr=1e-3, max_drop=math.inf))


@pytest.mark.parametrize(
    ("text", "ms", "at"),
    [("5ms", 5.0, "p50"), ("5", 5.0, "p50"), ("2.5ms@p90", 2.5, "p90"), ("7@p99", 7.0, "p99")],
)
def test_a_latency_budget_is_the_median_unless_it_names_a_percentile(text: str, ms: float, at: str) -> None:
    found = asked.latency_budget(text)
    assert (found.ms, found.at) == (ms, at)
    assert asked.spec_of(data="x", max_latency=text).max_latency == found


@pytest.mark.parametrize("text", ["", "ms", "0", "-1ms", "5s", "nan", "inf", "5ms@p95", "5ms@90", "@p90"])
def test_what_is_no_latency_budget_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(InputError, match="max-latency") as caught:
        asked.latency_budget(text)
    assert "5ms@p90" in caught.value.hint


@pytest.mark.parametrize("std", [(0.0, 1.0, 1.0), (1.0, -1.0, 1.0)])
def test_a_deviation_that_nothing_can_be_divided_by_is_refused(std: tuple[float, float, float]) -> None:
    with pytest.raises(InputError, match="each is above 0"):
        asked.deviation(std)


def test_budgets_are_of_all_tasks_or_of_one() -> None:
    assert asked.drop_budgets(["1%", "age=0.5", "kind=2%"]) == (1.0, {"age": "0.5", "kind": "2%"})
    assert asked.drop_budgets(["none"]) == (math.inf, {})
    spec = asked.spec_of(data="t.csv", label_column=["kind", "age:value"], max_drops={"age": "0.5"})
    assert spec.reading().label_column == ("kind", "age:value")


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["1%", "2%"], "comes after another"),
        (["age=1", "age=2"], "comes after another"),
        (["age=x"], "'x' is not a budget"),
        (["age=-1%"], "not a budget"),
    ],
)
def test_budgets_that_cannot_be_meant_are_refused(texts: list[str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        asked.drop_budgets(texts)
    assert words in caught.value.problem and caught.value.hint
