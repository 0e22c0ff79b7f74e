"""Each mistake is named, and none is where there is none: the answers come from a function, not from an engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from edgetl import testing
from edgetl.types import Preprocess
from edgetl.verify.diagnose import NORMALISATIONS, Diagnosis, diagnose

CLASSES = ("red", "green", "blue", "dark", "light")
Array = Any


def data(each: int = 20, seed: int = 0) -> tuple[Array, Array]:
    """Noise about the colours of the tiny model, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(CLASSES)), each)
    means = 255 * np.array(testing.COLOURS)[labels][:, None, None]
    noisy = means + rng.normal(0, 20, (len(labels), 8, 8, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8), labels


def answers(trained: Preprocess, swapped: bool = False) -> Callable[[Array, Preprocess], Array]:
    """A network that is right only with the normalisation and the channel order it was trained with."""

    def answer(pictures: Array, given: Preprocess) -> Array:
        if not np.allclose((given.mean, given.std), (trained.mean, trained.std)):
            return np.eye(len(CLASSES), dtype=np.float32)[np.zeros(len(pictures), int)]
        return testing.expected_logits(pictures[..., ::-1] if swapped else pictures).astype(np.float32)

    return answer


def run(
    labels: Array | None = None,
    *,
    trained: Preprocess = testing.RULE,
    swapped: bool = False,
    each: int = 20,
) -> Diagnosis:
    """Diagnose the bundle of ImageNet's normalisation."""
    pictures, right = data(each)
    wanted = right if labels is None else labels
    return diagnose(answers(trained, swapped), pictures, wanted, testing.RULE, classes=CLASSES, at_build=1.0)


def test_nothing_is_wrong_where_nothing_is_wrong() -> None:
    found = run()
    assert found.mistake is None
    assert found.accuracy == 1.0
    assert "as in training" in found.sentence


@pytest.mark.parametrize("name", [name for name in NORMALISATIONS if "ImageNet" not in name])
def test_each_normalisation_is_found_and_the_options_that_mend_it_are_told(name: str) -> None:
    mean, std = NORMALISATIONS[name]
    found = run(trained=msgspec.structs.replace(testing.RULE, mean=mean, std=std))
    assert found.mistake == f"normalised as {name}"
    assert found.hint.startswith("build again with --mean ")
    assert "+80.0 points on 100 images" in found.sentence


def test_the_bundles_own_normalisation_is_not_tried_as_another() -> None:
    assert not [trial for trial in run().trials if "ImageNet" in trial.what]
    assert len(run().trials) == 4


def test_swapped_channels_are_found() -> None:
    assert run(swapped=True).mistake == "red and blue swapped"


def test_permuted_labels_are_found_and_judged_on_other_images_than_they_were_read_from() -> None:
    labels = (data()[1] + 1) % len(CLASSES)
    found = run(labels)
    assert found.mistake == "labels permuted"
    assert found.hint.startswith("'red' holds 'light', 'green' holds 'red'")
    assert found.hint.count("holds") == 4
    assert "and 1 more" in found.hint
    assert next(trial for trial in found.trials if trial.what == "labels permuted").n == 50


def test_labels_at_random_are_blamed_on_nothing_and_said_not_to_be_of_these_pictures() -> None:
    for seed in range(20):
        labels = np.random.default_rng(seed).permutation(data()[1])
        found = run(labels)
        assert found.mistake is None
        assert "and the commonest class alone gives 20.0 %: the labels are not of these" in found.sentence


def test_two_images_prove_nothing() -> None:
    found = run(labels=(data(1)[1] + 1) % len(CLASSES), each=1)
    assert found.mistake is None


def test_the_table_has_a_line_a_trial_and_the_answer() -> None:
    lines = run(swapped=True).lines()
    assert len(lines) == 1 + len(run(swapped=True).trials)
    assert "red and blue swapped" in lines[0]
    assert lines[0].endswith("100.0 %  (+40.0)")
    assert lines[-1].split()[:4] == ["the", "mistake", "is", "named:"]


def test_swapped_folders_are_named_though_a_wrong_normalisation_is_better_than_nothing_too() -> None:
    """Two classes exchanged: any answer that ignores the picture is right half the time, and beats 0 %."""
    pictures, right = data()
    two = right < 2
    found = diagnose(
        answers(testing.RULE), pictures[two], 1 - right[two], testing.RULE, classes=CLASSES, at_build=1.0
    )
    assert found.mistake == "labels permuted"
    assert "'red' holds 'green'" in found.hint
