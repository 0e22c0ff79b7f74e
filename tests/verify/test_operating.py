"""A threshold is what it was chosen for, on the pictures it was chosen on; what it does elsewhere is said."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgetl import asked
from edgetl.errors import GateFailed, InputError
from edgetl.runtime.prediction import chances
from edgetl.verify import operating

rows = st.lists(st.tuples(st.booleans(), st.integers(-20, 20)), min_size=4, max_size=60)
OBJECTIVES = ("recall@0.9", "precision@0.7", "f1", "balanced-accuracy")


def split(found: list[tuple[bool, int]]) -> tuple[np.ndarray, np.ndarray]:
    labels = np.array([int(mine) for mine, _ in found])
    assume(0 < labels.sum() < len(labels))
    logits = np.array([[0.0, score / 4] for _, score in found], np.float32)
    return labels, logits


def figures(labels: np.ndarray, answered: np.ndarray) -> dict[str, float]:
    hit, mine = (answered & (labels == 1)).sum(), (labels == 1).sum()
    specificity = (~answered & (labels == 0)).sum() / (labels == 0).sum()
    precision = hit / max(answered.sum(), 1)
    recall = hit / mine
    return {
        "recall": recall,
        "precision": precision,
        "specificity": specificity,
        "f1": 2 * precision * recall / max(precision + recall, 1e-9),
        "balanced-accuracy": (recall + specificity) / 2,
    }


@given(rows, st.sampled_from(OBJECTIVES))
def test_no_other_threshold_is_better(found: list[tuple[bool, int]], text: str) -> None:
    labels, logits = split(found)
    objective, scores = asked.objective(text), chances(logits, 1)
    every = [figures(labels, scores >= cut) for cut in np.unique(scores)]
    if objective.metric == "recall":
        able = [f["specificity"] for f in every if f["recall"] >= 0.9 and f["specificity"] > 0]
        wanted = "specificity"
    elif objective.metric == "precision":
        able, wanted = [f["recall"] for f in every if f["precision"] >= 0.7], "recall"
    else:
        able, wanted = [f[objective.metric] for f in every], objective.metric
    if not able:
        with pytest.raises(GateFailed, match="select images"):
            operating.choose(labels, logits, 1, "ill", objective)
        return
    point = operating.choose(labels, logits, 1, "ill", objective)
    assert 0 < point.threshold <= 1
    chosen = figures(labels, scores >= point.threshold)
    assert chosen[wanted] == pytest.approx(max(able))
    if objective.at is not None:
        assert chosen[objective.metric] >= objective.at


def test_the_threshold_lies_between_scores_and_takes_positives_that_cost_nothing() -> None:
    logits = np.array([[0, 3], [0, 2], [0, 1], [0, -1], [0, -2]], np.float32)
    point = operating.choose(np.array([1, 0, 1, 1, 0]), logits, 1, "ill", asked.objective("recall@0.5"))
    scores = chances(logits, 1)
    assert point.threshold == pytest.approx((scores[3] + scores[4]) / 2)
    assert (point.images, point.positives) == (5, 3)


def test_a_target_that_no_threshold_reaches_says_what_is_reached() -> None:
    logits = np.array([[0, 3], [0, 2], [0, 1]], np.float32)
    with pytest.raises(
        GateFailed, match=r"no threshold reaches it, the best precision is 66.7 % at a recall of 100.0 %"
    ):
        operating.choose(np.array([0, 1, 1]), logits, 1, "ill", asked.objective("precision@0.9"))
    with pytest.raises(GateFailed, match="answering positive every time"):
        operating.choose(np.array([0, 1, 1]), logits, 1, "ill", asked.objective("recall@1"))


def test_figures_at_a_threshold_are_counted_on_both_engines() -> None:
    labels = np.array([1, 1, 1, 0, 0])
    exact = np.array([[0, 2], [0, 1], [0, -1], [0, -2], [0, 3]], np.float32)
    worse = np.array([[0, 2], [0, -1], [0, -1], [0, -2], [0, 3]], np.float32)
    found = operating.held_against(labels, exact, worse, 1, 0.5)
    assert found.fp32.recall is not None
    assert found.fp32.recall.value == pytest.approx(2 / 3)
    assert found.recall_drop_pt == pytest.approx(100 / 3)
    assert found.shipped.accuracy == pytest.approx(2 / 5)
    assert found.shipped.precision is not None
    assert found.shipped.precision.value == pytest.approx(1 / 2)


def test_how_few_positives_a_threshold_rests_on_is_said() -> None:
    logits = np.array([[0, float(n)] for n in range(20)], np.float32)
    labels = (np.arange(20) >= 16).astype(int)
    objective = asked.objective("recall@0.95")
    point = operating.choose(labels, logits, 1, "ill", objective)
    assert operating.few(objective, point) == (
        "the threshold rests on 4 select images of 'ill': 73, all found, would show a recall of 95 %"
    )
    assert operating.few(objective, msgspec.structs.replace(point, positives=73)) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("recal@0.9", "Did you mean 'recall'?"),
        ("recall", "recall takes a least value"),
        ("f1@0.9", "f1 takes no value"),
        ("recall@1.5", "is not a share above 0"),
        ("precision@0", "is not a share above 0"),
        ("", "is not known"),
    ],
)
def test_what_cannot_be_optimized_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        asked.objective(text)
    assert words in caught.value.problem
