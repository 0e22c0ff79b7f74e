"""What corruptions come to: an engine planted worse is told, one that is equal is not, and ratios are the paper's."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl.errors import InputError
from edgetl.types import Robustness
from edgetl.verify import robustness
from edgetl.verify.robustness import Question, Subject, question

N = 200
ASKED = Question(("fog", "low_light", "gaussian_noise"), (1, 3, 5))
Bools = npt.NDArray[np.bool_]


def judge(reference: Bools, candidate: Bools, asked: Question = ASKED) -> Robustness:
    return robustness.judge(reference, candidate, asked, Subject("parts", "0" * 64))


def rows(asked: Question = ASKED, share: float = 0.9, seed: int = 0) -> Bools:
    """Which images are right: each row of its own, row 0 is clean."""
    return np.random.default_rng(seed).random((1 + len(asked.conditions), N)) < share


def test_a_candidate_that_is_worse_in_noise_alone_is_told_with_its_figures() -> None:
    reference = rows()
    candidate = reference.copy()
    candidate[7:, :40] = False  # gaussian_noise, all severities
    found = judge(reference, candidate)
    assert found.costs_more == ("gaussian_noise",)
    dearest = found.costs[0]
    assert dearest.corruption == "gaussian_noise" and dearest.group == "noise"
    assert dearest.extra_pt == pytest.approx(100 * (reference[7:, :40].mean(axis=0).sum() / N))
    assert dearest.extra_ci95_pt[0] > 10 and dearest.p_holm < 1e-4
    assert {cell.corruption for cell in found.cells if cell.drop_ci95_pt[0] > 0} == {"gaussian_noise"}
    assert "low_light? not shown: no difference" in found.sentence
    assert found.mce_pct is not None and found.mce_pct > 130


def test_a_candidate_that_is_worse_everywhere_by_the_same_is_no_worse_in_the_dark() -> None:
    reference = np.ones((10, N), bool)
    candidate = reference.copy()
    candidate[:, :20] = False
    found = judge(reference, candidate)
    assert found.clean.drop_pt == pytest.approx(10)
    assert found.costs_more == ()
    assert all(cost.extra_pt == 0 and cost.drop_pt == pytest.approx(10) for cost in found.costs)


def test_the_dark_is_answered_yes_where_it_is_so_and_no_where_it_is_the_other_way() -> None:
    reference = np.ones((10, N), bool)
    candidate = reference.copy()
    candidate[4:7, :30] = False
    assert "low_light? yes: int8 loses 15.0 points more" in judge(reference, candidate).sentence
    assert "low_light? no: int8 loses 15.0 points less" in judge(candidate, reference).sentence
    assert judge(candidate, reference).costs_more == ()


def test_one_image_in_many_corruptions_is_no_finding() -> None:
    """Holm: among 19 corruptions one p-value of 0.04 comes by chance more often than not."""
    asked = question("all", None, N, 0)
    reference = np.ones((96, N), bool)
    candidate = reference.copy()
    candidate[1:6, :6] = False
    assert judge(reference[:6], candidate[:6], Question(("fog",))).costs_more == ("fog",)
    found = judge(reference, candidate, asked)
    assert found.costs[0].p_value < 0.05 < found.costs[0].p_holm
    assert found.costs_more == ()


def test_corruption_errors_are_those_of_the_paper() -> None:
    asked = Question(("fog", "snow"), (1, 2))
    reference, candidate = np.ones((5, 100), bool), np.ones((5, 100), bool)
    reference[0, :10] = candidate[0, :10] = False
    for row, (wrong_before, wrong) in enumerate([(20, 30), (40, 60), (30, 30), (50, 60)], start=1):
        reference[row, :wrong_before] = False
        candidate[row, :wrong] = False
    found = judge(reference, candidate, asked)
    by_name = {cost.corruption: cost for cost in found.costs}
    assert by_name["fog"].ce_pct == pytest.approx(100 * (30 + 60) / (20 + 40))
    assert by_name["snow"].ce_pct == pytest.approx(100 * (30 + 60) / (30 + 50))
    assert found.mce_pct == pytest.approx((150 + 112.5) / 2)
    assert by_name["fog"].relative_ce_pct == pytest.approx(100 * (20 + 50) / (10 + 30))
    assert found.relative_mce_pct == pytest.approx((175 + 100 * 70 / 60) / 2)
    assert found.mce_ci95_pct is not None and found.mce_ci95_pct[0] < 131.25 < found.mce_ci95_pct[1]


def test_a_ratio_over_no_errors_is_none_and_not_infinite() -> None:
    reference, candidate = np.ones((10, N), bool), np.ones((10, N), bool)
    candidate[4, :5] = False
    found = judge(reference, candidate)
    assert found.mce_pct is None and found.mce_ci95_pct is None
    assert all(cost.ce_pct is None and cost.relative_ce_pct is None for cost in found.costs)


def test_an_engine_against_itself_is_one_hundred_percent() -> None:
    found = judge(rows(share=0.7), rows(share=0.7))
    assert found.mce_pct == 100 and found.mce_ci95_pct == pytest.approx((100, 100))
    assert all(cell.drop_pt == 0 and cell.p_value == 1 for cell in found.cells)


def test_gains_and_losses_that_cancel_are_no_difference() -> None:
    asked = Question(("low_light",))
    reference = np.ones((6, 122), bool)
    candidate = reference.copy()
    for row, image in enumerate((0, 1, 2), start=1):
        candidate[row, image] = False
        reference[row, image + 10] = False
    found = judge(reference, candidate, asked)
    assert str(found.costs[0].extra_pt) == "0.0"
    assert "no difference" in found.sentence


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(0, 2**16))
def test_any_answers_give_finite_figures(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference, candidate = (rng.random((10, n)) < rng.random() for _ in range(2))
    found = judge(reference, candidate)
    for cost in found.costs:
        assert cost.extra_ci95_pt[0] < cost.extra_ci95_pt[1]
        assert 0 <= cost.p_value <= cost.p_holm <= 1
        assert cost.candidate == pytest.approx(cost.reference - cost.drop_pt / 100, abs=1e-9)


class Engine:
    """A session whose answer is a function of the pictures, and that keeps what it was shown."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.shown: list[npt.NDArray[np.uint8]] = []


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """Two engines that call a picture bright or dark by its mean."""

    def logits_of(session: Engine, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        session.shown.append(pictures)
        return np.asarray(session.answer(pictures), np.float32)

    monkeypatch.setattr(robustness, "logits_of", logits_of)

    def answer(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        mean = pictures.mean(axis=(1, 2, 3))
        return np.stack([128 - mean, mean - 128], axis=1)

    return Engine(answer), Engine(answer)


def pictures_of_two() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    labels = np.arange(20) % 2
    levels = np.where(labels == 1, 190, 60)[:, None, None, None]
    return labels, (levels + rng.integers(-20, 20, (20, 32, 32, 3))).astype(np.uint8)


def test_both_engines_answer_the_same_bytes_and_darkness_is_seen(engines: tuple[Any, Any]) -> None:
    labels, pictures = pictures_of_two()
    told: list[tuple[int, int]] = []
    asked = question("low_light,brightness", "1,5", 100, 0)
    right, _ = robustness.answers(
        *engines, labels, pictures, asked, on_progress=lambda done, total: told.append((done, total))
    )
    assert right.shape == (5, 20)
    assert right[0].all()
    assert asked.conditions[3] == ("low_light", 5)
    assert right[4].mean() == 0.5  # bright ones are called dark
    assert all(np.array_equal(a, b) for a, b in zip(engines[0].shown, engines[1].shown))
    assert told == [(20 * k, 100) for k in range(1, 6)]


def test_a_pictures_draw_hangs_on_neither_its_place_nor_the_number_of_pictures(
    engines: tuple[Any, Any],
) -> None:
    labels, pictures = pictures_of_two()
    asked = question("rain", "3", 100, 0)
    robustness.answers(*engines, labels, pictures, asked)
    robustness.answers(*engines, labels[::-1], pictures[::-1], asked)
    robustness.answers(*engines, labels, pictures, question("rain,fog", "1,3", 6, 0))
    forward, backward, few = engines[0].shown[1], engines[0].shown[3], engines[0].shown[8]
    assert np.array_equal(forward, backward[::-1])
    assert len(few) == 6 and all((few[k] == forward).all(axis=(1, 2, 3)).any() for k in range(6))
    other = question("rain", "3", 100, 1)
    robustness.answers(*engines, labels, pictures, other)
    assert not np.array_equal(engines[0].shown[-1], forward)


def test_an_engine_that_takes_blue_first_gets_the_same_weather(engines: tuple[Any, Any]) -> None:
    labels, pictures = pictures_of_two()
    asked = question("frost,jpeg_compression", "4", 100, 0)
    robustness.answers(*engines, labels, pictures, asked, bgr=True)
    for shown in engines[0].shown[1:2]:
        tint = shown.astype(int).mean(axis=(0, 1, 2))
        assert tint[0] > tint[2]  # ice is bluish, and blue comes first


@pytest.mark.parametrize("text", ["0", "6", "1,9", "", "x", "1.5"])
def test_a_severity_beyond_the_scale_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not one of 1 to 5"):
        question("fog", text, 10, 0)


def test_severities_are_taken_once_and_in_order() -> None:
    assert question("fog", "5, 1,5", 10, 0).severities == (1, 5)
    assert question("fog", None, 10, 0).severities == (1, 2, 3, 4, 5)
