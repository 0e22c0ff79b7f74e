"""How the text of options is read."""

from __future__ import annotations

import math

import pytest

from edgetl.cli import options
from edgetl.errors import InputError


@pytest.mark.parametrize(
    ("text", "points"),
    [("1%", 1.0), ("1", 1.0), ("0.5pt", 0.5), ("0", 0.0), ("100", 100.0), ("none", math.inf), (None, None)],
)
def test_a_budget_is_in_points(text: str | None, points: float | None) -> None:
    assert options.drop_budgets(None if text is None else [text]) == (points, {})


@pytest.mark.parametrize("text", ["", "-1", "101", "one", "nan", "1%%"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--max-drop"):
        options.drop_budgets([text])


@pytest.mark.parametrize(
    ("text", "fraction"), [("7/8", (7, 8)), ("0.875", (7, 8)), ("1", (1, 1)), (None, None)]
)
def test_a_crop_is_an_exact_fraction(text: str | None, fraction: tuple[int, int] | None) -> None:
    assert options.crop_fraction(text) == fraction


@pytest.mark.parametrize("text", ["0", "1.01", "1/0", "nan", "half", "-1/2", "inf"])
def test_what_is_no_crop_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--crop"):
        options.crop_fraction(text)


@pytest.mark.parametrize("text", ["1,2", "1,2,3,4", "a,b,c", "nan", "1,2,inf", ""])
def test_what_is_no_triple_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--std"):
        options.triple(text, "--std")


def test_one_number_stands_for_all_three_channels() -> None:
    assert options.triple("0.5", "--mean") == (0.5, 0.5, 0.5)
    assert options.triple("0.1,0.2,0.3", "--mean") == (0.1, 0.2, 0.3)
