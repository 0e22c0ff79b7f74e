"""Several seeds: the spread is over the test images, and what ships is chosen without them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgetl import pipeline
from edgetl.cache import Cache
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.stages import seeds
from edgetl.transfer import backbone, checkpoint
from edgetl.transfer.checkpoint import Checkpoint
from edgetl.types import BuildSpec

SPEC = BuildSpec(data="", model="tiny", method="full", seed=3, seeds=3, image_size=32)
SELECT = {3: 0.80, 4: 0.90, 5: 0.90}
KEPT = dict(SELECT)
"""What the stage says of itself; where a head on features was kept, nothing in its history is of that measure."""
LOSS = {3: 0.1, 4: 0.5, 5: 0.4}
TOLD: dict[int, dict[str, float]] = {3: {}, 4: {}, 5: {}}
"""What else a training says of the epoch that it kept."""
TESTED = {3: 1.0, 4: 0.5, 5: 0.0}
"""Accuracy on two test pictures of class 0 and 1: the worst on select is the best on test."""


def train_of(ran: list[int]) -> Any:
    """A train stage whose network answers class 0, 1 or the right one, whatever the select images said."""
    made = backbone.create(SPEC, 2)

    def stage(spec: BuildSpec) -> Stage:
        def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
            ran.append(spec.seed)
            record = Checkpoint(
                model="tiny",
                method="full",
                classes=("a", "b"),
                preprocess=made.preprocess,
                normalisation="",
                initial_weights="",
                seed=spec.seed,
                history=[
                    {"epoch": 1, "accuracy": 0.1, "select_loss": 9.0},
                    {"epoch": 2, "accuracy": SELECT[spec.seed], "select_loss": LOSS[spec.seed]},
                ],
            )
            with torch.no_grad():
                made.net.head.weight.zero_()
                made.net.head.bias.copy_(torch.tensor([float(spec.seed), 0.0]))
            checkpoint.save(made.net, record, np.zeros((1, 32, 32, 3), np.uint8), out)
            return {"summary": "long", "select_accuracy": KEPT[spec.seed], **TOLD[spec.seed]}

        return Stage("train", 2, ("prepare",), {"seed": spec.seed}, {}, run)

    return stage


def prepared() -> Stage:
    """Two test pictures; which answer is right is told by their labels."""

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        np.save(out / "test.npy", np.zeros((2, 32, 32, 3), np.uint8))
        np.save(out / "test.labels.npy", np.array([0, 1]))
        return {}

    return Stage("prepare", 1, (), {}, {}, run)


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Artifact], list[int]]:
    """Three trainings and the choice, whose networks are right on as many test pictures as ``TESTED`` says."""

    def answers(net: Any, preprocess: Any, pictures: Any, told: Any) -> Any:
        right = TESTED[int(net.head.bias[0])]
        return {1.0: np.eye(2), 0.5: np.eye(2)[[0, 0]], 0.0: np.eye(2)[[1, 0]]}[right]

    monkeypatch.setattr("edgetl.transfer.answers.logits_of", answers)
    ran: list[int] = []
    stages = [prepared(), *seeds.stages(SPEC, train_of(ran))]
    return pipeline.run(stages, Cache(tmp_path / "store"), Context()), ran


def test_the_one_that_is_best_on_select_ships_whatever_the_test_images_say(
    trained: tuple[dict[str, Artifact], list[int]],
) -> None:
    done, ran = trained
    assert ran == [3, 4, 5]
    assert checkpoint.load(done["train"].path)[1].seed == 5, "equal on select: the lower loss there"
    told = done["train"].record["training"]["seeds"]
    assert told["chosen"] == 5
    assert [run["test_accuracy"] for run in told["runs"]] == [1.0, 0.5, 0.0]
    assert (told["mean"], told["min"], told["max"]) == (0.5, 0.0, 1.0)
    assert told["sd"] == pytest.approx(0.5)
    assert told["ci95"][0] < 0.5 < told["ci95"][1]


def test_a_training_of_a_seed_is_the_one_that_a_build_of_that_seed_alone_makes(tmp_path: Path) -> None:
    ran: list[int] = []
    train, cache = train_of(ran), Cache(tmp_path)
    alone = pipeline.run([prepared(), train(SPEC)], cache, Context())
    stages = [prepared(), *seeds.stages(SPEC, train)]
    assert [row.cached for row in pipeline.plan(stages, cache)] == [True, True, False, False, False]
    assert pipeline.plan(stages, cache)[1].key == alone["train"].record["_run"]["key"]


def test_seeds_are_ranked_by_what_each_training_says_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KEPT, 3, 0.95)
    monkeypatch.setattr(
        "edgetl.transfer.answers.logits_of", lambda net, preprocess, pictures, told: np.eye(2)
    )
    done = pipeline.run([prepared(), *seeds.stages(SPEC, train_of([]))], Cache(tmp_path), Context())
    assert done["train"].record["training"]["seeds"]["chosen"] == 3


def test_one_seed_has_no_interval() -> None:
    told = seeds.spread([{"seed": 0, "select_accuracy": 1.0, "test_accuracy": 0.9}], 0)
    assert told["ci95"] is None and told["sd"] == 0.0


def test_seeds_that_came_to_the_same_claim_no_interval_of_nothing() -> None:
    rows = [{"seed": seed, "select_accuracy": 1.0, "test_accuracy": 0.9} for seed in range(6)]
    told = seeds.spread(rows, 0)
    assert told["ci95"] is None
    assert told["sentence"] == "6 seeds: test 90.0 % each; seed 0 ships, the best on select"
    told = seeds.spread([*rows[:5], {**rows[5], "test_accuracy": 0.8}], 0)
    assert told["ci95"] is not None and "95 % interval over seeds" in told["sentence"]


def test_a_training_that_kept_another_epoch_than_the_best_is_ranked_by_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TOLD, 5, {"select_loss": 2.0})
    monkeypatch.setattr(
        "edgetl.transfer.answers.logits_of", lambda net, preprocess, pictures, told: np.eye(2)
    )
    done = pipeline.run([prepared(), *seeds.stages(SPEC, train_of([]))], Cache(tmp_path), Context())
    assert done["train"].record["training"]["seeds"]["chosen"] == 4
