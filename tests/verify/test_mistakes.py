"""Which class is taken for which, and the pictures that are most wrong."""

from __future__ import annotations

import numpy as np
import pytest

from edgetl.verify.mistakes import confusion, worst

LABELS = np.array([0, 0, 1, 1, 2])
LOGITS = np.log(
    np.array(
        [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.05, 0.9, 0.05], [0.3, 0.6, 0.1], [0.98, 0.01, 0.01]], np.float32
    )
)
FILES = [(f"{number}.png", f"{number:064x}") for number in range(5)]


def test_each_pair_of_class_and_answer_is_counted_once() -> None:
    assert confusion(LABELS, LOGITS) == [(0, 0, 1), (0, 1, 1), (1, 1, 2), (2, 0, 1)]


def test_the_worst_pictures_are_those_whose_own_class_got_least() -> None:
    found = worst(LABELS, LOGITS, FILES, count=3)
    assert [one.path for one in found] == ["4.png", "1.png", "3.png"]
    first = found[0]
    assert (first.label, first.answer, first.sha256) == (2, 0, FILES[4][1])
    assert (first.probability, first.true_probability) == pytest.approx((0.98, 0.01), abs=1e-6)


def test_logits_of_any_size_have_probabilities() -> None:
    (one,) = worst(np.array([1]), np.array([[1e4, -1e4]], np.float32), FILES[:1])
    assert (one.probability, one.true_probability) == (1.0, 0.0)
