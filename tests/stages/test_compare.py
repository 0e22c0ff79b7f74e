"""What the transfer brought: paired by image, with an interval, and called negative where it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetl import stats
from edgetl.stages import compare


def right(pattern: str) -> Any:
    """Which images an answer is right on."""
    return np.array([letter == "1" for letter in pattern])


def test_a_gain_is_paired_by_image_with_tangos_interval() -> None:
    ours, theirs = right("1" * 60 + "0" * 40), right("0" * 20 + "1" * 50 + "0" * 30)
    told = compare.gain(ours, theirs)
    low, high = stats.tango(20, 10, 100)  # 20 gained, 10 lost
    assert told["gain_pt"] == pytest.approx(10.0) and told["accuracy"] == 0.5
    assert told["ci95_pt"] == pytest.approx([100 * low, 100 * high])
    assert told["verdict"] == "cannot tell"


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        ("1" * 90 + "0" * 10, "1" * 60 + "0" * 40, "better"),
        ("1" * 60 + "0" * 40, "1" * 90 + "0" * 10, "worse"),
        ("1" * 10, "1" * 10, "cannot tell"),
    ],
)
def test_the_verdict_is_the_intervals(ours: str, theirs: str, verdict: str) -> None:
    assert compare.gain(right(ours), right(theirs))["verdict"] == verdict


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_changing_sides_turns_the_sign(pairs: list[tuple[bool, bool]]) -> None:
    ours, theirs = (np.array(side) for side in zip(*pairs))
    one, other = compare.gain(ours, theirs), compare.gain(theirs, ours)
    assert one["gain_pt"] == pytest.approx(-other["gain_pt"])
    assert one["ci95_pt"] == pytest.approx([-end for end in reversed(other["ci95_pt"])], abs=1e-6)
    assert one["ci95_pt"][0] <= one["gain_pt"] + 1e-9 and one["gain_pt"] <= one["ci95_pt"][1] + 1e-9


def test_epochs_are_counted_to_what_both_reach() -> None:
    told = compare.reached([0.7, 0.9, 0.95], [0.2, 0.5, 0.4, 0.8, 0.7])
    assert told == {"select_accuracy": 0.8, "transfer": 2, "scratch": 4}
    assert compare.reached([0.3], [0.2, 0.5]) == {"select_accuracy": 0.3, "transfer": 1, "scratch": 2}


def test_a_head_on_features_has_no_epochs() -> None:
    assert compare.reached([], [0.2]) is None


def found(verdict: str, name: str = "scratch") -> dict[str, Any]:
    """A comparison against one side."""
    told = {"accuracy": 0.9, "gain_pt": -10.0, "ci95_pt": [-15.0, -5.0], "verdict": verdict}
    return {"accuracy": 0.8, "n": 100, "against": {name: told}, "epochs": None}


def test_negative_transfer_is_called_so() -> None:
    (sentence,) = compare.sentences(found("worse"))
    assert sentence.endswith("negative transfer, random weights come further"), "a head alone has no epochs"
    told = {**found("worse"), "epochs": {"select_accuracy": 0.8, "transfer": 3, "scratch": 2}}
    assert "negative transfer, in as many epochs random weights come further" in compare.sentences(told)[0]
    assert "-10.0 points, 95 % interval [-15.0, -5.0], 100 test images" in sentence
    (sentence,) = compare.sentences(found("worse", "frozen"))
    assert "--method feature" in sentence and "negative" not in sentence
    (sentence,) = compare.sentences(found("cannot tell"))
    assert "cannot tell" in sentence and "negative" not in sentence
    (sentence,) = compare.sentences(found("better"))
    assert sentence.endswith("test images")
