"""Methods and options that are about one class label refuse several tasks by name, and say what fits."""

from __future__ import annotations

from typing import Any

import pytest

from edgetl.errors import InputError
from edgetl.stages import several
from edgetl.tasks import Task
from edgetl.types import BuildSpec

KIND = Task(name="kind", kind="classes", labels=("cat", "dog"))
AGE = Task(name="age", kind="value", mean=40.0, std=12.0, spread=10.0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "distill"}, "--method distill learns what a teacher answers"),
        ({"method": "rkd"}, "--method rkd learns"),
        ({"method": "full", "seeds": 2}, "--seeds chooses a seed by the accuracy of one class label"),
        ({"compare": "scratch"}, "--compare compares"),
        ({"optimize": "recall@0.9"}, "--optimize chooses the threshold"),
        ({"adapt": "place"}, "--adapt fits a network of one class label"),
        ({"fused_head": True}, "--fused-head is the head of one class label"),
        ({"method": "full", "imbalance": "sampling"}, "--imbalance sampling draws"),
    ],
)
@pytest.mark.parametrize("tasks", [(KIND, AGE), (AGE,)], ids=["several", "a value"])
def test_what_is_about_one_label_is_refused(
    options: dict[str, Any], words: str, tasks: tuple[Task, ...]
) -> None:
    spec = BuildSpec(data="labels.csv", **options)
    with pytest.raises(InputError) as caught:
        several.check(spec, tasks)
    assert words in caught.value.problem and "age (value)" in caught.value.problem and caught.value.hint
    several.check(spec, ())


@pytest.mark.parametrize("method", ["auto", "feature", "full", "discriminative", "norm", "lora"])
def test_methods_of_one_label_take_several(method: str) -> None:
    several.check(BuildSpec(data="labels.csv", method=method), (KIND, AGE))


def test_a_value_that_never_changes_is_refused() -> None:
    constant = Task(name="age", kind="value", mean=40.0, std=0.0, spread=0.0)
    with pytest.raises(InputError, match="'age' has one value only on the pictures to train on"):
        several.check(BuildSpec(data="labels.csv"), (KIND, constant))


def test_data_with_other_labels_is_told_apart_in_words() -> None:
    with pytest.raises(
        InputError, match="has one class label, the bundle kind \\(2 classes\\), age \\(value\\)"
    ):
        several.refuse_others((KIND, AGE), (), "other.csv")
