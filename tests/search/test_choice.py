"""Which candidate ships."""

from __future__ import annotations

from typing import Any

import pytest

from edgetl.search.choice import choose

ALL = ("f32", "default", "int8")
LATENCY = {"f32": {"p50": 3.3}, "default": {"p50": 2.0}, "int8": {"p50": 1.75}}


def against(int8: str, ratio: float = 0.88) -> dict[str, dict[str, Any]]:
    return {
        "f32": {"ratio": 1.65, "ci95": [1.6, 1.7], "verdict": "slower"},
        "int8": {"ratio": ratio, "ci95": [ratio - 0.02, ratio + 0.02], "verdict": int8},
    }


def test_the_fastest_within_the_budget_ships() -> None:
    drops = {"default": 0.0, "int8": 0.4}
    shipped, why = choose(ALL, drops, LATENCY, against("faster"), max_drop=1.0, precision="auto", images=36)
    assert shipped == "int8"
    assert why == "1.14x as fast as the default precision, and within the budget on 36 select images"


def test_where_no_candidate_keeps_the_devices_budgets_the_reason_says_so() -> None:
    drops = {"default": 0.0, "int8": 0.4}
    shipped, why = choose(
        ALL, drops, LATENCY, against("faster"), max_drop=1.0, precision="auto", images=36, in_budget=[]
    )
    assert shipped == "int8"
    assert why.endswith("; no candidate keeps every budget of the device")


def test_int8_over_the_budget_does_not_ship_and_the_loss_is_named() -> None:
    drops = {"default": 0.0, "int8": 2.4}
    shipped, why = choose(ALL, drops, LATENCY, against("faster"), max_drop=1.0, precision="auto", images=36)
    assert shipped == "default"
    assert why == "int8 loses 2.4 points on 36 select images, budget 1.00"


@pytest.mark.parametrize(("verdict", "ratio"), [("slower", 1.07), ("no difference", 0.99)])
def test_int8_that_is_not_faster_does_not_ship_and_the_reason_is_said(verdict: str, ratio: float) -> None:
    latency = {**LATENCY, "int8": {"p50": 2.0 * ratio}}
    shipped, why = choose(
        ALL,
        {"default": 0.0, "int8": 0.0},
        latency,
        against(verdict, ratio),
        max_drop=1.0,
        precision="auto",
        images=36,
    )
    assert shipped == "default"
    assert "int8 is" in why


def test_a_lifted_budget_lets_any_drop_through() -> None:
    drops = {"default": 0.0, "int8": 30.0}
    assert (
        choose(ALL, drops, LATENCY, against("faster"), max_drop=float("inf"), precision="auto", images=36)[0]
        == "int8"
    )


def test_the_user_may_insist() -> None:
    drops = {"default": 0.0, "int8": 30.0}
    assert (
        choose(ALL, drops, LATENCY, against("slower"), max_drop=1.0, precision="int8", images=36)[0] == "int8"
    )


def test_a_default_precision_over_the_budget_leaves_f32() -> None:
    drops = {"default": 3.0, "int8": 3.0}
    assert (
        choose(ALL, drops, LATENCY, against("faster"), max_drop=1.0, precision="auto", images=36)[0] == "f32"
    )


@pytest.mark.parametrize(("drop", "wanted"), [(0.5, "int8"), (2.4, "f32")])
def test_without_times_int8_ships_where_it_keeps_the_budget(drop: float, wanted: str) -> None:
    shipped, why = choose(("f32", "int8"), {"int8": drop}, {}, {}, max_drop=1.0, precision="auto", images=36)
    assert shipped == wanted
    assert "not timed" in why
    assert ("int8 loses 2.4 points" in why) == (wanted == "f32")


SECOND = (*ALL, "default@onnxruntime", "int8@onnxruntime")
BOTH = {**LATENCY, "default@onnxruntime": {"p50": 3.0}, "int8@onnxruntime": {"p50": 1.2}}
VERSUS = {
    **against("faster"),
    "default@onnxruntime": {"ratio": 1.5, "ci95": [1.4, 1.6], "verdict": "slower"},
    "int8@onnxruntime": {"ratio": 0.6, "ci95": [0.58, 0.62], "verdict": "faster"},
}


def test_another_backend_wins_where_it_is_the_fastest_that_keeps_the_accuracy() -> None:
    drops = dict.fromkeys(SECOND[1:], 0.0)
    kept = choose(SECOND, drops, BOTH, VERSUS, max_drop=1.0, precision="auto", images=36)
    assert kept == (
        "int8@onnxruntime",
        "1.67x as fast as the default precision, and within the budget on 36 select images",
    )
    lost = choose(
        SECOND, {**drops, "int8@onnxruntime": 5.0}, BOTH, VERSUS, max_drop=1.0, precision="auto", images=36
    )
    assert lost[0] == "int8"


def test_a_precision_that_is_insisted_on_still_has_a_choice_of_backends() -> None:
    drops = dict.fromkeys(SECOND[1:], 0.0)
    assert (
        choose(SECOND, drops, BOTH, VERSUS, max_drop=1.0, precision="int8", images=36)[0]
        == "int8@onnxruntime"
    )


def test_int8_no_faster_than_default_ships_where_it_alone_keeps_the_latency_budget() -> None:
    drops = {"default": 0.0, "int8": 0.0}
    versus = against("cannot tell", 0.99)
    shipped, why = choose(
        ALL, drops, LATENCY, versus, max_drop=1.0, precision="auto", images=36, in_budget=["int8"]
    )
    assert shipped == "int8"
    assert "over a budget of the device" in why


def test_where_nothing_keeps_both_budgets_accuracy_goes_first() -> None:
    drops = {"default": 0.0, "int8": 7.0}
    chosen = choose(
        ALL, drops, LATENCY, against("faster"), max_drop=1.0, precision="auto", images=36, in_budget=[]
    )
    assert chosen[0] == "default"
