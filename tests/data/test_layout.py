"""Folders and tables become samples with roles."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from edgetl.data.layout import Dataset, scan
from edgetl.errors import InputError
from tests.data.pictures import folders


def roles(found: Dataset) -> Counter[str]:
    return Counter(sample.role for sample in found.samples)


def test_class_folders(tmp_path: Path) -> None:
    found = scan(folders(tmp_path / "data", {"a": 20, "b": 20}), seed=0)
    assert found.classes == ("a", "b")
    assert roles(found) == {"train": 28, "select": 6, "test": 6}
    assert all(Path(s.path).parent.name == found.classes[s.label] for s in found.samples)


def test_with_train_and_val_alone_val_is_the_test_set(tmp_path: Path) -> None:
    folders(tmp_path / "train", {"a": 20, "b": 20})
    folders(tmp_path / "val", {"a": 4, "b": 4}, seed=50)
    found = scan(tmp_path, seed=0)
    assert roles(found) == {"train": 34, "select": 6, "test": 8}
    assert all((s.role == "test") == s.path.startswith("val/") for s in found.samples)


def test_three_role_folders_are_taken_as_they_are(tmp_path: Path) -> None:
    for number, name in enumerate(("train", "val", "test")):
        folders(tmp_path / name, {"a": 3, "b": 3}, seed=50 * number)
    assert roles(scan(tmp_path, seed=0)) == {"train": 6, "select": 6, "test": 6}


def test_an_empty_class_folder_is_no_class_and_is_remembered(tmp_path: Path) -> None:
    folders(tmp_path, {"a": 4, "b": 4})
    (tmp_path / "c").mkdir()
    found = scan(tmp_path, seed=0)
    assert found.classes == ("a", "b")
    assert found.empty == ("c",)


def test_an_empty_class_folder_below_the_roles_is_remembered(tmp_path: Path) -> None:
    folders(tmp_path / "train", {"a": 4, "b": 4})
    folders(tmp_path / "val", {"a": 4, "b": 4}, seed=50)
    (tmp_path / "train/c").mkdir()
    assert scan(tmp_path, seed=0).empty == ("c",)


def test_names_in_any_script_and_links_to_files_are_read(tmp_path: Path) -> None:
    folders(tmp_path / "data", {"größe": 4, "猫": 4})
    elsewhere = tmp_path / "elsewhere.png"
    shutil.move(tmp_path / "data/猫/0.png", elsewhere)
    (tmp_path / "data/猫/0.png").symlink_to(elsewhere)
    found = scan(tmp_path / "data", seed=0)
    assert found.classes == ("größe", "猫")
    assert len(found.samples) == 8


def test_the_digest_follows_contents_and_not_the_place(tmp_path: Path) -> None:
    first = scan(folders(tmp_path / "one", {"a": 4, "b": 4}), seed=0)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert scan(tmp_path / "two", seed=0).digest == first.digest
    (tmp_path / "two/a/0.png").write_bytes((tmp_path / "two/a/0.png").read_bytes() + b"\0")
    assert scan(tmp_path / "two", seed=0).digest != first.digest


def table(tmp_path: Path, lines: list[str]) -> Path:
    file = tmp_path / "labels.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_a_table_with_roles(tmp_path: Path) -> None:
    folders(tmp_path, {"x": 12})
    lines = [f"x/{n}.png,{'ab'[n % 2]},{'val' if n >= 8 else 'train'}" for n in range(12)]
    found = scan(table(tmp_path, ["filename,class,split", *lines]), seed=0)
    assert found.classes == ("a", "b")
    assert roles(found) == {"train": 6, "select": 2, "test": 4}


def test_a_table_may_name_links_to_where_pictures_are_kept(tmp_path: Path) -> None:
    folders(tmp_path / "store", {"x": 8})
    (tmp_path / "data").mkdir()
    (tmp_path / "data/x").symlink_to(tmp_path / "store/x")
    lines = [f"x/{n}.png,{'ab'[n % 2]}" for n in range(8)]
    assert len(scan(table(tmp_path / "data", ["path,label", *lines]), seed=0).samples) == 8


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["path,label", "x/0.png,a", "x/none.png,b"], "line 3: x/none.png is not there"),
        (["path,label", "../outside.png,a"], "leaves the table's folder"),
        (["path,label", "/etc/hostname,a"], "leaves the table's folder"),
        (["path,label", "x/0.png,"], "has no label"),
        (["path,label", "x/0.png,a", "x/0.png,b"], "more than once"),
        (["path,label,role", "x/0.png,a,trian"], "role 'trian' is not known"),
        (["path,label"], "labels.csv has no lines below its header"),
        (["file;name"], "a path and a label column are needed"),
        (["path,label,label", "x/0.png,a,b", "x/1.png,b,a"], "two columns 'label'"),
        (["path,label", "x/0.png,cat, brown", "x/1.png,b"], "line 2 has more cells than the 2 columns"),
        (["path,label", "x/\0.png,a"], "'x/\\x00.png' leaves the table's folder"),
        (["path,label", "x/../../outside/0.png,a"], "leaves the table's folder"),
        (["path,label", ".,a"], "leaves the table's folder"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(tmp_path: Path, lines: list[str], words: str) -> None:
    folders(tmp_path / "data", {"x": 2})
    folders(tmp_path, {"outside": 1})
    with pytest.raises(InputError) as caught:
        scan(table(tmp_path / "data", lines), seed=0)
    assert words in caught.value.problem


def test_one_class_and_no_pictures_are_refused(tmp_path: Path) -> None:
    folders(tmp_path / "one", {"only": 3})
    with pytest.raises(InputError, match="one class only"):
        scan(tmp_path / "one", seed=0)
    (tmp_path / "none/a").mkdir(parents=True)
    with pytest.raises(InputError, match="no pictures"):
        scan(tmp_path / "none", seed=0)


def test_a_link_to_nothing_is_named_and_a_pipe_is_no_picture(tmp_path: Path) -> None:
    root = folders(tmp_path / "data", {"a": 10, "b": 10})
    os.mkfifo(root / "a" / "pipe.jpg")
    assert len(scan(root, seed=0).samples) == 20
    (root / "a" / "gone.jpg").symlink_to("nowhere.jpg")
    with pytest.raises(InputError, match=r"gone\.jpg is a link to nothing"):
        scan(root, seed=0)
