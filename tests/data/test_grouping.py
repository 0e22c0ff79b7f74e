"""Groups are never parted: not by the draw, not by given roles, not by folds."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetl.data import split
from edgetl.data.check import inspect
from edgetl.data.layout import Dataset, scan
from edgetl.errors import InputError
from edgetl.types import Reading, Role
from tests.data.pictures import folders

Lesions = list[list[int]]
"""For each class the sizes of its groups."""

lesions = st.lists(st.lists(st.integers(1, 6), min_size=3, max_size=30), min_size=2, max_size=4)


def drawn(sizes: Lesions, seed: int = 0, order: int = 1) -> tuple[dict[str, Role], dict[str, str]]:
    """Roles and groups of pictures, listed forwards or backwards."""
    rows: list[split.Numbered] = []
    groups = {}
    for label, counts in enumerate(sizes):
        for number, count in enumerate(counts):
            for picture in range(count):
                path = f"{label}/{number}-{picture}"
                rows.append((path, label, None))
                groups[path] = f"{label}.{number}"
    contents = {path: path for path in groups}
    classes = [str(label) for label in range(len(sizes))]
    return split.assign(rows[::order], contents, classes, seed, groups), groups


@given(lesions, st.integers(0, 3))
def test_a_group_has_one_role_and_every_role_has_every_class(sizes: Lesions, seed: int) -> None:
    roles, groups = drawn(sizes, seed)
    of_group: dict[str, set[str]] = defaultdict(set)
    for path, group in groups.items():
        of_group[group].add(roles[path])
    assert all(len(found) == 1 for found in of_group.values())
    for label in range(len(sizes)):
        assert {roles[path] for path in groups if path.startswith(f"{label}/")} == {"train", "select", "test"}


@given(lesions)
def test_the_order_of_the_files_changes_nothing(sizes: Lesions) -> None:
    assert drawn(sizes)[0] == drawn(sizes, order=-1)[0]


@given(st.lists(st.lists(st.integers(1, 4), min_size=25, max_size=40), min_size=2, max_size=3))
def test_shares_are_kept_as_far_as_whole_groups_allow(sizes: Lesions) -> None:
    roles, _ = drawn(sizes)
    for label, counts in enumerate(sizes):
        found = Counter(role for path, role in roles.items() if path.startswith(f"{label}/"))
        for role in ("select", "test"):
            assert abs(found[role] - 0.15 * sum(counts)) <= max(counts), (role, found)


def test_another_seed_draws_other_groups() -> None:
    assert drawn([[1] * 30, [1] * 30], 0)[0] != drawn([[1] * 30, [1] * 30], 1)[0]


def test_groups_that_share_a_picture_are_kept_together() -> None:
    groups = {f"{n}": f"g{n // 2}" for n in range(40)}
    rows: list[split.Numbered] = [(path, int(path) % 2, None) for path in groups]
    contents = {path: "same" if path in ("1", "38") else path for path in groups}
    roles = split.assign(rows, contents, ["a", "b"], 0, groups)
    assert len({roles[path] for path in ("0", "1", "38", "39")}) == 1


def test_a_class_with_two_groups_is_named() -> None:
    with pytest.raises(InputError, match="class '1' has pictures of 2 different group"):
        drawn([[1, 1, 1], [9, 9]])


def table(root: Path, *, roles: bool) -> Path:
    """Two classes of twelve pictures; lesions 0 to 11 have two pictures each."""
    folders(root, {"mole": 12, "tumour": 12})
    lines = ["picture,grade,lesion_id,fold"]
    for name in ("mole", "tumour"):
        for number in range(12):
            role = ("train", "val", "test")[number % 3 if number > 5 else 0] if roles else ""
            lines.append(f"{name}/{number}.png,{name},{name}-{number // 2},{role}")
    file = root / "labels.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


AS_TOLD = Reading(path_column="picture", label_column="grade", group_by="lesion_id")


def parted(found: Dataset) -> list[str]:
    """Groups in more than one role."""
    roles: dict[str, set[str]] = defaultdict(set)
    for sample in found.samples:
        roles[sample.group].add(sample.role)
    return [group for group, of in roles.items() if len(of) > 1]


def test_a_column_groups_the_pictures_of_a_table(tmp_path: Path) -> None:
    found = scan(table(tmp_path, roles=False), seed=0, reading=AS_TOLD)
    assert len({s.group for s in found.samples}) == 12
    assert parted(found) == []
    apart = scan(tmp_path / "labels.csv", seed=0, reading=msgspec.structs.replace(AS_TOLD, group_by=None))
    assert apart.digest != found.digest, "the grouping is part of what the data is"
    assert inspect(found, tmp_path).summary() == "24 images, 2 classes · 12 groups kept whole · no leakage"


def test_a_pattern_groups_the_pictures_of_folders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for number, file in enumerate(
            sorted((folders(tmp_path, {name: 12}, seed=ord(name)) / name).iterdir())
        ):
            file.rename(file.with_name(f"patient{name}{number % 4}_{number}.png"))
    found = scan(tmp_path, seed=0, reading=Reading(group_by=r"regex:(patient\w\d)_"))
    assert {s.group for s in found.samples} == {f"patient{name}{n}" for name in "ab" for n in range(4)}
    assert parted(found) == []


def test_given_roles_that_part_a_group_are_refused_with_its_name_and_files(tmp_path: Path) -> None:
    file = table(tmp_path, roles=True)
    reading = msgspec.structs.replace(AS_TOLD, role_column="fold")
    with pytest.raises(InputError, match="leakage: 6 groups by lesion_id span roles") as caught:
        inspect(scan(file, seed=0, reading=reading), tmp_path)
    assert caught.value.exit_code == 2
    assert "'mole-3': mole/6.png is in train, mole/7.png in select" in caught.value.problem
    groups: Any = caught.value.facts["groups"]
    assert groups["tumour-5"] == {"tumour/10.png": "select", "tumour/11.png": "test"}


def test_a_test_folder_that_holds_a_group_of_train_is_refused(tmp_path: Path) -> None:
    folders(tmp_path / "train", {"a": 6, "b": 6})
    folders(tmp_path / "val", {"a": 3, "b": 3}, seed=50)
    found = scan(tmp_path, seed=0, reading=Reading(group_by=r"regex:(\d)\.png"))
    with pytest.raises(InputError, match=r"3 groups .* span roles, the first '0': train/a/0.png"):
        inspect(found, tmp_path)


def test_an_identity_that_is_not_grouped_by_is_warned_of(tmp_path: Path) -> None:
    found = scan(
        table(tmp_path, roles=False), seed=0, reading=Reading(path_column="picture", label_column="grade")
    )
    (warning,) = inspect(found, tmp_path).warnings
    assert "--group-by lesion_id" in warning


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (Reading(group_by="lesionid"), "no column 'lesionid'. Did you mean 'lesion_id'?"),
        (Reading(label_column="grad"), "no column 'grad'. Did you mean 'grade'?"),
        (Reading(group_by="regex:(("), "not a regular expression"),
        (Reading(group_by="regex:mole"), "has 0 groups in parentheses, expected 1"),
        (Reading(group_by="regex:(mole)"), "12 of 24 pictures have no group, the first tumour/0.png"),
    ],
)
def test_a_reading_that_cannot_be_meant_is_refused(tmp_path: Path, reading: Reading, words: str) -> None:
    told = msgspec.to_builtins(AS_TOLD) | msgspec.to_builtins(reading)
    with pytest.raises(InputError) as caught:
        scan(table(tmp_path, roles=False), seed=0, reading=msgspec.convert(told, Reading))
    assert words in caught.value.problem


def test_a_table_of_test_pictures_alone_serves_a_verification(tmp_path: Path) -> None:
    folders(tmp_path, {"a": 3, "b": 3})
    lines = [f"{name}/{n}.png,{name},test" for name in "ab" for n in range(3)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label,split", *lines]) + "\n")
    found = scan(tmp_path / "labels.csv", seed=0)
    assert {s.role for s in found.samples} == {"test"}
    assert len(inspect(found, tmp_path, needs=("test",)).usable.samples) == 6
    with pytest.raises(InputError, match="no readable picture in train"):
        inspect(found, tmp_path)


def test_columns_of_a_folder_are_refused(tmp_path: Path) -> None:
    folders(tmp_path, {"a": 4, "b": 4})
    for reading in (Reading(label_column="x"), Reading(group_by="x")):
        with pytest.raises(InputError, match="is a folder"):
            scan(tmp_path, seed=0, reading=reading)
