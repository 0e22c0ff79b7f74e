"""``--method auto``: what it tries, and what it keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgetl import single
from edgetl.pipeline import Silent
from edgetl.processes import Processes
from edgetl.stages import auto
from edgetl.transfer import checkpoint
from edgetl.types import BuildSpec
from tests.data.pictures import folders


def together(count: int) -> Processes:
    """A place among so many."""
    return Processes(rank=0, count=count, local_rank=0, local_count=count, host="localhost", port=1)


@pytest.mark.parametrize(
    ("asked", "pictures", "processes", "given"),
    [
        (32, 2000, None, 32),
        (32, 800, None, 32),
        (32, 500, None, 16),
        (32, 208, None, 8),
        (32, 20, None, 8),
        (4, 208, None, 4),
        (12, 208, None, 12),
        (32, 208, 2, 8),
        (32, 208, 8, 16),
    ],
)
def test_few_pictures_are_fine_tuned_on_in_small_steps(
    asked: int, pictures: int, processes: int | None, given: int
) -> None:
    place = together(processes) if processes else None
    spec = BuildSpec(data="", model="tiny", method="auto", batch_size=asked)
    assert auto.tuning_of(spec, pictures, place).batch_size == given


@pytest.mark.parametrize(("asked", "given"), [(30, auto.MOST_EPOCHS), (5, 5)])
def test_fine_tuning_is_short(asked: int, given: int) -> None:
    spec = BuildSpec(data="", model="tiny", method="auto", epochs=asked)
    assert auto.tuning_of(spec, 100).epochs == given


@pytest.mark.parametrize(
    ("probe", "tuned", "labels", "kept"),
    [
        (34, 36, 20, "discriminative"),
        (36, 34, 200, "feature"),
        (35, 35, 20, "feature"),
        (35, 36, 20, "feature"),
        (35, 35, 200, "discriminative"),
        (36, 35, 200, "discriminative"),
    ],
)
def test_one_select_image_decides_nothing_and_the_number_of_labels_does(
    probe: int, tuned: int, labels: int, kept: str
) -> None:
    found, why = auto.pick(probe / 36, tuned / 36, 36, labels)
    assert found == kept
    assert f"{100 * tuned / 36:.1f} % against {100 * probe / 36:.1f} % of the linear probe" in why
    assert ("decide nothing" in why) == (abs(probe - tuned) < 2)


def test_one_image_of_a_rare_class_decides_nothing_however_much_it_weighs() -> None:
    """3 of one class that weigh 3 each and 15 of another that weigh 0.6."""
    found, why = auto.pick(0.7, 0.7 + 3 / 18, 18, 14, largest=3 / 18)
    assert found == "feature" and "decide nothing" in why and "weighted by class" in why
    assert auto.pick(0.7, 0.7 - 3 / 18, 18, 60, largest=3 / 18)[0] == auto.TUNED
    assert auto.pick(0.4, 0.4 + 6 / 18, 18, 14, largest=3 / 18)[0] == auto.TUNED


@pytest.mark.parametrize(("bees", "weighs"), [(60, True), (24, False)])
def test_the_weight_of_a_rare_class_is_known_where_the_two_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bees: int, weighs: bool
) -> None:
    told: list[tuple[int, float | None]] = []

    def pick(*given: Any) -> tuple[str, str]:
        told.append((given[2], given[5]))
        return "feature", "asked for"

    monkeypatch.setattr(auto, "pick", pick)
    data = folders(tmp_path / "data", {"ants": 16, "bees": bees})
    spec = BuildSpec(data=str(data), model="tiny", method="auto", image_size=32, epochs=1)
    single.train(spec, tmp_path / "checkpoint", cache=tmp_path / "cache", progress=Silent())
    ((images, largest),) = told
    assert (largest is not None and largest > 2 / images) == weighs


def test_fine_tuning_runs_to_its_end_for_few_select_images_cannot_tell_when_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auto, "pick", lambda *_: (auto.TUNED, "asked for"))
    data = folders(tmp_path / "data", {"ants": 30, "bees": 30})
    spec = BuildSpec(data=str(data), model="tiny", method="auto", image_size=32, epochs=9, lr=0.03)
    told = single.train(spec, tmp_path / "checkpoint", cache=tmp_path / "cache", progress=Silent())
    _, record = checkpoint.load(tmp_path / "checkpoint")
    assert [one["epoch"] for one in record.history] == list(range(1, 10))
    assert told["training"]["select_accuracy"][auto.TUNED] == record.history[-1]["accuracy"]
    assert told["training"]["tuning"] == {"epochs": 9, "batch_size": 8}
