"""Label columns: which are classes and which are values, how roles are drawn for several, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edgetl.data import columns
from edgetl.data.check import inspect
from edgetl.data.layout import Dataset, scan
from edgetl.errors import InputError
from edgetl.types import Reading
from tests.data.pictures import folders

COUNT = 40
KINDS = ("cat", "dog")
BOTH = ("kind", "age")


def table(root: Path, **cells: list[str]) -> Path:
    """A CSV over ``COUNT`` pictures, with a column for each keyword."""
    if not (root / "p").exists():
        folders(root, {"p": COUNT})
    rows = [["path", *cells]] + [
        [f"p/{n}.png", *(column[n] for column in cells.values())] for n in range(COUNT)
    ]
    (root / "labels.csv").write_text("\n".join(",".join(row) for row in rows) + "\n")
    return root / "labels.csv"


def usual(**changed: list[str]) -> dict[str, list[str]]:
    """A column of classes, a rarer one and one of values."""
    cells = {
        "kind": [KINDS[n % 2] for n in range(COUNT)],
        "colour": ["red" if n % 8 == 0 else "grey" for n in range(COUNT)],
        "age": [f"{20 + 1.37 * n:.2f}" for n in range(COUNT)],
    }
    return cells | changed


def read(file: Path, *label_columns: str, seed: int = 0) -> Dataset:
    return scan(file, seed=seed, reading=Reading(label_column=label_columns))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_role_has_some_of_every_class_of_every_task(tmp_path: Path, seed: int) -> None:
    found = read(table(tmp_path, **usual()), "kind", "colour", "age", seed=seed)
    assert found.classes == ("kind: cat", "kind: dog", "colour: grey", "colour: red", "age")
    held = Counter((sample.role, name) for sample in found.samples for name in found.named(sample))
    assert len(held) == 3 * 4
    ages = {role: [s.answers[2] for s in found.samples if s.role == role] for role in ("select", "test")}
    assert all(min(of) < 45 < max(of) for of in ages.values())
    assert len(inspect(found, tmp_path).usable.samples) == COUNT


def test_the_scale_of_a_value_is_that_of_the_pictures_to_train_on(tmp_path: Path) -> None:
    found = read(table(tmp_path, **usual()), *BOTH)
    assert found.tasks
    values = np.array([s.answers[1] for s in found.samples if s.role == "train"])
    assert found.tasks[1].mean == pytest.approx(values.mean()) and found.tasks[1].std == pytest.approx(
        values.std()
    )
    assert found.tasks[1].spread == pytest.approx(np.abs(values - np.median(values)).mean())


def test_one_column_of_classes_is_read_as_it_always_was(tmp_path: Path) -> None:
    file = table(tmp_path, **usual())
    plain = scan(file, seed=0, reading=Reading(label_column="kind"))
    assert plain == read(file, "kind") == read(file, "kind:classes")
    assert plain.classes == KINDS and not plain.tasks and not plain.samples[0].answers


@pytest.mark.parametrize(
    ("cells", "others", "kind", "said"),
    [
        (["0", "1"] * 20, True, "classes", ""),
        (["cat", "2"] * 20, True, "classes", ""),
        (["1", "2", "3", "4"] * 10, True, "classes", "4 different numbers from 1 to 4, taken as classes"),
        (["1", "2", "3", "4"] * 10, False, "classes", ""),
        (
            [str(n // 2) for n in range(60)],
            False,
            "classes",
            "30 different numbers from 0 to 29, taken as classes",
        ),
        ([str(n) for n in range(20)], True, "classes", "20 different numbers"),
        (
            [str(n) for n in range(21)],
            False,
            "value",
            "21 different numbers from 0 to 20: a value is predicted",
        ),
        ([f"{n}.5" for n in range(40)], False, "value", "(--label-column x:classes"),
    ],
)
def test_numbers_are_a_value_where_they_could_not_be_classes(
    cells: list[str], others: bool, kind: str, said: str
) -> None:
    found = columns.kind_of("x", cells, beside_others=others)
    assert found.kind == kind
    assert said in found.assumed and bool(said) == bool(found.assumed)


def test_what_was_assumed_is_among_the_warnings(tmp_path: Path) -> None:
    report = inspect(read(table(tmp_path, **usual()), *BOTH), tmp_path)
    assert any(
        "'age' holds 40 different numbers from 20 to 73.43: a value" in line for line in report.warnings
    )
    assert "kind (2 classes), age (value)" in report.summary()
    told = inspect(read(table(tmp_path, **usual()), "kind", "age:value"), tmp_path)
    assert not any("age" in line for line in told.warnings)


def test_few_numbers_are_a_value_where_the_user_says_so(tmp_path: Path) -> None:
    grades = [str(n % 5) for n in range(COUNT)]
    found = read(table(tmp_path, **usual(grade=grades)), "grade:value")
    assert found.tasks and found.tasks[0].kind == "value" and found.classes == ("grade",)


def spoilt(cells: list[str], text: str, place: int = 3) -> list[str]:
    return [text if n == place else cell for n, cell in enumerate(cells)]


@pytest.mark.parametrize(
    ("changed", "asked", "words"),
    [
        ({}, ("kind", "colr"), "no column 'colr'. Did you mean 'colour'?"),
        ({}, ("kind", "age:valu"), "'valu' is not a kind. Did you mean 'value'?"),
        ({}, ("kind", "kind:classes"), "--label-column kind is given more than once"),
        ({"age": spoilt(usual()["age"], "")}, BOTH, "line 5: p/3.png has no age"),
        ({"kind": spoilt(usual()["kind"], "")}, BOTH, "line 5: p/3.png has no kind"),
        (
            {"age": spoilt(usual()["age"], "old")},
            ("kind", "age:value"),
            "p/3.png: age is 'old', expected a finite",
        ),
        ({"age": spoilt(usual()["age"], "nan")}, ("age:value",), "age is 'nan'"),
        ({"age": spoilt(usual()["age"], "inf")}, ("age:value",), "age is 'inf'"),
        ({"age": spoilt(usual()["age"], "1_000")}, ("age:value",), "age is '1_000'"),
        (
            {"colour": ["red"] * COUNT},
            ("kind", "colour"),
            "'colour' of labels.csv has one class only ('red')",
        ),
        ({"dx type": ["a", "b"] * 20}, ("kind", "dx type"), "'dx type' cannot name an engine's output"),
        (
            {"input": ["a", "b"] * 20},
            ("kind", "input"),
            "'input' is what an engine's tensor is called already",
        ),
        ({"colour": spoilt(["grey"] * COUNT, "red")}, ("kind", "colour"), "class 'colour: red' has"),
    ],
)
def test_labels_that_cannot_be_meant_are_refused(
    tmp_path: Path, changed: dict[str, list[str]], asked: tuple[str, ...], words: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(table(tmp_path, **usual(**changed)), *asked)
    assert words in caught.value.problem and caught.value.hint


def test_a_header_alone_is_refused_in_the_words_for_one_column(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("path,kind,colour\n")
    for asked in (("kind",), ("kind", "colour"), ("kind:value",)):
        with pytest.raises(InputError, match="has no lines below its header"):
            read(file, *asked)


def test_a_label_of_the_test_pictures_that_none_to_train_on_has_is_refused_by_its_task(
    tmp_path: Path,
) -> None:
    roles = ["test" if n >= 30 else "train" for n in range(COUNT)]
    colours = ["red" if n in (33, 34) else "grey" for n in range(COUNT)]
    found = read(table(tmp_path, **usual(colour=colours, role=roles)), "kind", "colour")
    with pytest.raises(InputError, match="class 'colour: red' has no readable picture in train"):
        inspect(found, tmp_path)


def test_pictures_of_one_group_stay_in_one_role(tmp_path: Path) -> None:
    plants = [f"p{n // 4}" for n in range(COUNT)]
    file = table(tmp_path, **usual(plant=plants))
    found = scan(file, seed=0, reading=Reading(label_column=("kind", "age"), group_by="plant"))
    roles = Counter((s.group, s.role) for s in found.samples)
    assert len(roles) == COUNT // 4


def test_a_column_of_values_is_asked_for_again_as_it_was() -> None:
    assert (
        Reading(label_column=("kind", "age:value")).as_options()
        == " --label-column kind --label-column age:value"
    )
