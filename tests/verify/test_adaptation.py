"""What is said of an adaptation follows from its interval, and a harmful one is called so."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from edgetl.verify.accuracy import PairedResult, paired
from edgetl.verify.adaptation import Adaptation, judge


def compared(before: float, after: float, n: int = 400) -> PairedResult:
    """So many right before and after, of two classes, as different pictures as can be."""
    labels = np.zeros(n, np.int64)

    def answers(right: int, *, last: bool) -> np.ndarray:
        wrong = np.ones(n, np.int64)
        wrong[n - right :] = 0 if last else wrong[n - right :]
        wrong[:right] = wrong[:right] if last else 0
        return np.eye(2, dtype=np.float32)[wrong]

    return paired(labels, answers(round(before * n), last=False), answers(round(after * n), last=True))


def told(gain: PairedResult | None, **changed: object) -> Adaptation:
    """An adaptation that came to this."""
    found = Adaptation(
        method="adabn",
        frames=500,
        shipped="int8",
        source=compared(0.8, 0.3),
        changed=0.31,
        same_shipped=0.99,
        gain=gain,
    )
    return judge(msgspec.structs.replace(found, **changed))


@pytest.mark.parametrize(
    ("before", "after", "n", "verdict", "words"),
    [
        (0.4, 0.7, 400, "gain", "40.0 % before, 70.0 % after: +30.0 points"),
        (0.7, 0.4, 400, "negative", "negative adaptation"),
        (0.5, 0.52, 100, "unproven", "too few to tell it from nothing"),
        (0.5, 0.5, 100, "unproven", "+0.0 points"),
    ],
)
def test_the_verdict_is_that_of_the_interval(
    before: float, after: float, n: int, verdict: str, words: str
) -> None:
    found = told(compared(before, after, n))
    assert found.verdict == verdict
    assert words in found.sentence
    assert found.gain_pt == pytest.approx(100 * (after - before))
    assert found.gain_pt is not None and found.gain_ci95_pt is not None
    assert found.gain_ci95_pt[0] <= found.gain_pt <= found.gain_ci95_pt[1]


def test_a_harmful_one_says_what_to_do() -> None:
    assert any("without --adapt" in line for line in told(compared(0.7, 0.4)).lines)
    assert not any("without --adapt" in line for line in told(compared(0.4, 0.7)).lines)


def test_without_labels_nothing_is_claimed() -> None:
    found = told(None)
    assert found.verdict == "unknown"
    assert found.gain_pt is None
    assert "31 % of the answers on target frames changed" in found.sentence
    assert any("int8 answers as f32 on 99.0 %" in line for line in found.lines)


def test_what_it_costs_on_the_source_is_told() -> None:
    assert any("80.0 % before, 30.0 % now" in line for line in told(compared(0.4, 0.7)).lines)
