"""What INT8 is held to after an adaptation: labels that the f32 engine believes, and the stages that read them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgetl.pipeline import Artifact, Context, Stage
from edgetl.stages.adapted import reading
from edgetl.stages.judge import drawn_labels


def test_labels_are_drawn_as_often_as_f32_believes_in_them() -> None:
    shares = np.array([0.7, 0.2, 0.1])
    logits = np.tile(np.log(shares).astype(np.float32) + 5, (6000, 1))
    found = np.bincount(drawn_labels(logits, 0), minlength=3) / len(logits)
    np.testing.assert_allclose(found, shares, atol=0.02)


def test_what_f32_is_sure_of_is_the_label_even_where_logits_are_huge() -> None:
    answers = np.arange(50) % 4
    logits = np.where(np.arange(4) == answers[:, None], 3000.0, -3000.0).astype(np.float32)
    np.testing.assert_array_equal(drawn_labels(logits, 1), answers)


def test_equal_seeds_draw_equal_labels_and_each_is_a_class() -> None:
    logits = np.random.default_rng(0).normal(0, 2, (200, 7)).astype(np.float32)
    found = drawn_labels(logits, 3)
    np.testing.assert_array_equal(found, drawn_labels(logits, 3))
    assert found.dtype == np.int64
    assert 0 <= found.min() <= found.max() <= 6


@pytest.fixture
def plain() -> Stage:
    """A stage that says which artifacts it was given."""

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        return {name: str(artifact.path) for name, artifact in inputs.items()}

    return Stage("say", 1, ("prepare", "check", "export"), {}, {}, run)


def artifact(name: str) -> Artifact:
    """One that is known by its name."""
    return Artifact(Path(name), {}, name)


def test_a_stage_reads_another_artifact_under_the_name_it_knows(plain: Stage) -> None:
    moved = reading(plain, {"prepare": "judge", "check": "judge"})
    assert moved.needs == ("judge", "export")
    inputs = {name: artifact(name) for name in moved.needs}
    assert moved.run(inputs, Path(), Context()) == {"prepare": "judge", "check": "judge", "export": "export"}
    assert moved.key_parts(inputs)["inputs"] == {"judge": "judge", "export": "export"}


def test_a_stage_that_reads_none_of_them_is_as_it_was(plain: Stage) -> None:
    same = reading(plain, {"train": "adapt"})
    inputs = {name: artifact(name) for name in plain.needs}
    assert same.key_parts(inputs) == plain.key_parts(inputs)
    assert same.run(inputs, Path(), Context()) == plain.run(inputs, Path(), Context())
