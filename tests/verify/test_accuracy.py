"""Accuracy is that of the engine's own answers, paired image by image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from edgetl.backends.checks import check_inputs
from edgetl.errors import GateFailed
from edgetl.types import TensorSpec
from edgetl.verify.accuracy import logits_of, paired, per_class_recall

Array = Any


class Request:
    """Answers each picture with its first pixel, as one logit a class."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def fill(self, inputs: Mapping[str, Array]) -> None:
        check_inputs(self._session.inputs, inputs)
        self._pictures = inputs["input"].copy()

    def start(self) -> None:
        self._session.started += 1

    def wait(self) -> dict[str, Array]:
        pixels = self._pictures[:, 0, 0].astype(np.float32)
        pixels[pixels == 255] = np.nan
        return {self._session.outputs[0].name: pixels}


class Session:
    """An engine of a batch."""

    def __init__(self, batch: int | None) -> None:
        self.inputs = (TensorSpec(name="input", dtype="uint8", shape=(batch, 2, 2, 3)),)
        self.outputs = (TensorSpec(name="logits", dtype="float32", shape=(batch, 3)),)
        self.started = 0

    def request(self) -> Request:
        return Request(self)


def pictures(count: int) -> Array:
    """Pictures whose first pixel is all theirs."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (count, 2, 2, 3), np.uint8)


def test_an_engine_that_answers_probabilities_is_judged_by_their_logarithms() -> None:
    session, shown = Session(None), pictures(7)
    raw = logits_of(session, shown)  # type: ignore[arg-type]
    session.outputs = (TensorSpec(name="probabilities", dtype="float32", shape=(None, 3)),)
    found = logits_of(session, shown)  # type: ignore[arg-type]
    np.testing.assert_allclose(np.exp(found), np.maximum(raw, np.finfo(np.float32).tiny), rtol=1e-4)


@pytest.mark.parametrize(("batch", "runs"), [(1, 7), (3, 3), (None, 7), (7, 1), (8, 1)])
def test_every_picture_is_answered_once_in_order_whatever_the_batch(batch: int | None, runs: int) -> None:
    session, shown = Session(batch), pictures(7)
    seen: list[tuple[int, int]] = []
    found = logits_of(session, shown, on_progress=lambda done, total: seen.append((done, total)))  # type: ignore[arg-type]
    assert np.array_equal(found, shown[:, 0, 0].astype(np.float32))
    assert session.started == runs
    assert seen[-1] == (7, 7)


def test_no_pictures_give_no_answers() -> None:
    assert logits_of(Session(1), pictures(0)).shape == (0, 3)  # type: ignore[arg-type]


def test_nan_is_a_failed_verification_with_the_first_such_picture() -> None:
    shown = pictures(5)
    shown[3, 0, 0, 1] = 255
    with pytest.raises(GateFailed, match="on 1 of 5 images, the first is number 3") as caught:
        logits_of(Session(1), shown)  # type: ignore[arg-type]
    assert caught.value.facts["images"] == [3]


def test_what_is_lost_and_gained_is_counted_image_by_image() -> None:
    labels = np.array([0, 1, 0, 1])
    reference = np.eye(2, dtype=np.float32)[[0, 1, 1, 0]]
    candidate = np.eye(2, dtype=np.float32)[[1, 1, 0, 0]]
    found = paired(labels, reference, candidate)
    assert (found.lost, found.gained, found.n) == (1, 1, 4)
    assert (found.reference_accuracy, found.candidate_accuracy, found.drop_pt) == (0.5, 0.5, 0.0)
    assert found.agreement == 0.5
    assert found.p_value == 1.0


def test_equal_answers_have_no_noise_and_an_interval_with_width() -> None:
    same = np.eye(3, dtype=np.float32)
    found = paired(np.arange(3), same, same)
    assert found.snr_db is None
    assert found.drop_ci95_pt[0] < 0 < found.drop_ci95_pt[1]


def test_the_worst_class_is_named_first_and_absent_ones_are_not() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    answers = np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 0]]
    found = per_class_recall(labels, answers, ["cat", "dog", "owl"])
    assert [row["class"] for row in found.rows] == ["dog", "cat"]
    assert found.sentence.startswith("worst class dog: recall 50.0 %")
    assert found.sentence.endswith("2 images")


def test_answers_that_do_not_belong_together_are_a_bug() -> None:
    with pytest.raises(ValueError, match="labels"):
        paired(np.zeros(2), np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32))
