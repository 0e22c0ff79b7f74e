"""What is around a training: which requests have no answer, known before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgetl import devices
from edgetl.data.layout import Dataset, scan
from edgetl.errors import InputError
from edgetl.pipeline import Stage
from edgetl.stages import adapt, training
from edgetl.stages.train import Setting
from edgetl.types import BuildSpec
from tests.data.pictures import folders

SPEC = BuildSpec(data="", model="tiny", method="auto", seeds=3)


@pytest.fixture
def few(tmp_path: Path) -> Dataset:
    """Fewer labels of a class than fine-tuning takes."""
    return scan(folders(tmp_path, {"ants": 9, "bees": 40}), seed=0)


def stages(dataset: Dataset, root: Path, **asked: Any) -> list[Stage]:
    """The stages of a request."""
    spec = msgspec.structs.replace(SPEC, **asked)
    return training.stages(spec, Setting(root, root, {}, 1), devices.load().find("intel-cpu"), dataset)


def test_seeds_that_would_all_come_to_one_head_are_refused(few: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no spread to show") as caught:
        stages(few, tmp_path)
    assert "without --seeds" in caught.value.hint


def test_seeds_of_what_is_trained_are_not_refused(few: Dataset, tmp_path: Path) -> None:
    many = scan(folders(tmp_path / "many", {"ants": 40, "bees": 40}), seed=0)
    for dataset, asked in (
        (many, {}),
        (few, {"weights": "none"}),
        (few, {"method": "full"}),
        (few, {"seeds": 1}),
    ):
        assert any(stage.name == "train" for stage in stages(dataset, tmp_path, **asked))


@pytest.mark.parametrize(
    ("method", "asked", "given"), [("auto", 30, 10), ("auto", 5, 5), ("discriminative", 30, 30)]
)
def test_random_weights_get_the_epochs_of_the_transfer(
    tmp_path: Path, method: str, asked: int, given: int
) -> None:
    many = scan(folders(tmp_path, {"ants": 40, "bees": 40}), seed=0)
    made = stages(many, tmp_path, method=method, epochs=asked, seeds=1, compare="scratch")
    (scratch,) = (stage for stage in made if stage.name == "compare:scratch")
    assert scratch.options["epochs"] == given


@pytest.mark.parametrize("method", ["coral", "dann"])
def test_an_alignment_takes_two_pictures_a_step(method: str) -> None:
    asked = msgspec.structs.replace(SPEC, adapt="frames", adapt_method=method, batch_size=1)
    with pytest.raises(InputError, match="at least two pictures"):
        adapt.check(asked)
    adapt.check(msgspec.structs.replace(asked, batch_size=2))
    adapt.check(msgspec.structs.replace(asked, adapt_method="adabn"))
