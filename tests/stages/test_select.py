"""Which candidate ships."""

from __future__ import annotations

from typing import Any

import pytest

from edgetl.stages.select import choose

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
