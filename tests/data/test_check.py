"""The check finds what a training would trip over, and nothing that is not there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgetl.data import demo
from edgetl.data.check import CheckReport, inspect
from edgetl.data.layout import scan
from edgetl.errors import InputError
from tests.data.pictures import folders, scene
from tests.data.test_decode import bomb


def checked(root: Path) -> CheckReport:
    return inspect(scan(root, seed=0), root)


def roles(root: Path, *, train: int = 8, val: int = 4) -> Path:
    """train/ and val/ with two classes of different pictures."""
    folders(root / "train", {"a": train, "b": train})
    folders(root / "val", {"a": val, "b": val}, seed=500)
    return root


def test_clean_data_has_no_warning(tmp_path: Path) -> None:
    report = checked(roles(tmp_path))
    assert report.warnings == []
    assert report.summary() == "24 images, 2 classes · no leakage"
    assert report.counts["test"] == {"a": 4, "b": 4}


def test_the_same_picture_in_two_roles_is_an_error_that_names_both(tmp_path: Path) -> None:
    roles(tmp_path)
    shutil.copyfile(tmp_path / "train/a/0.png", tmp_path / "val/b/copy.png")
    with pytest.raises(InputError, match="leakage") as caught:
        checked(tmp_path)
    assert "train/a/0.png" in caught.value.problem
    assert "val/b/copy.png" in caught.value.problem


def copies(file: Path) -> dict[str, Any]:
    """What happens to a picture on its way: encoded again, smaller, larger, brighter."""
    image: Any = cv2.imread(str(file))
    poor = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 50])[1], cv2.IMREAD_COLOR)
    return {
        "poor": poor,
        "small": cv2.resize(image, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA),
        "large": cv2.resize(image, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_CUBIC),
        "bright": np.clip(image.astype(int) + 8, 0, 255).astype(np.uint8),
    }


@pytest.mark.parametrize("kind", ["poor", "small", "large", "bright"])
def test_a_changed_copy_in_another_role_is_found(tmp_path: Path, kind: str) -> None:
    roles(tmp_path)
    copy = copies(tmp_path / "train/a/3.png")[kind]
    cv2.imwrite(str(tmp_path / "val/a/copy.png"), copy)
    report = checked(tmp_path)
    assert report.near_duplicates == [["train/a/3.png", "val/a/copy.png"]]
    assert "no leakage" not in report.summary()
    assert any("copies" in line for line in report.warnings)


def test_copies_of_photographs_are_found_and_different_photographs_are_not(
    shared: Path, tmp_path: Path
) -> None:
    source = shared / "data/cls_hymenoptera"
    assert checked(source).near_duplicates == []
    shutil.copytree(source, tmp_path / "data")
    expected = set()
    for index, file in enumerate(sorted((source / "train/bees").glob("*.jpg"))[::12]):
        kind, copy = list(copies(file).items())[index % 4]
        cv2.imwrite(str(tmp_path / f"data/val/bees/{kind}{index}.jpg"), copy)
        expected.add((f"train/bees/{file.name}", f"val/bees/{kind}{index}.jpg"))
    found = {tuple(pair) for pair in checked(tmp_path / "data").near_duplicates}
    missed = expected - found
    assert len(missed) <= len(expected) // 10, missed
    assert all("train/bees" in a for a, _ in found - expected), found - expected


def test_different_digits_are_no_duplicates(tmp_path: Path) -> None:
    report = checked(demo.write(tmp_path / "demo"))
    assert report.near_duplicates == []
    assert report.warnings == []


def test_plain_pictures_of_different_brightness_are_no_duplicates(tmp_path: Path) -> None:
    roles(tmp_path)
    cv2.imwrite(str(tmp_path / "train/a/dark.png"), np.full((64, 64, 3), 20, np.uint8))
    cv2.imwrite(str(tmp_path / "val/a/light.png"), np.full((64, 64, 3), 220, np.uint8))
    assert checked(tmp_path).near_duplicates == []


def test_pictures_that_cannot_be_read_are_listed_and_left_out(tmp_path: Path) -> None:
    roles(tmp_path)
    whole = (tmp_path / "train/a/0.png").read_bytes()
    bad = {"cut": whole[: len(whole) // 2], "zero": b"", "text": b"hello", "bomb": bomb(30_000)}
    for name, data in bad.items():
        (tmp_path / f"train/a/{name}.jpg").write_bytes(data)
    report = checked(tmp_path)
    assert set(report.unreadable) == {f"train/a/{name}.jpg" for name in bad}
    assert "truncated" in report.unreadable["train/a/cut.jpg"]
    assert "30000 x 30000" in report.unreadable["train/a/bomb.jpg"]
    assert len(report.usable.samples) == 24
    assert "4 unreadable" in report.summary()
    named = "\n".join(report.named())
    assert all(f"left out train/a/{name}.jpg" in named for name in bad)


def test_a_class_without_a_readable_picture_is_an_error(tmp_path: Path) -> None:
    roles(tmp_path)
    for number, file in enumerate((tmp_path / "val/b").iterdir()):
        file.write_bytes(b"broken %d" % number)
    with pytest.raises(InputError, match="class 'b' has no readable picture in test"):
        checked(tmp_path)


def test_imbalance_tiny_pictures_and_empty_folders_are_warned_of(tmp_path: Path) -> None:
    folders(tmp_path / "train", {"a": 60, "b": 4})
    folders(tmp_path / "val", {"a": 2, "b": 2}, seed=500)
    (tmp_path / "train/c").mkdir()
    cv2.imwrite(str(tmp_path / "train/b/small.png"), scene(77, side=9))
    text = "\n".join(checked(tmp_path).warnings)
    for words in ("imbalance", "'b'", "1 pictures are under 32", "without a picture are left out: c"):
        assert words in text


def test_odd_modes_are_counted(tmp_path: Path) -> None:
    roles(tmp_path)
    deep = scene(91).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "train/a/deep.png"), deep)
    report = checked(tmp_path)
    assert report.odd_modes == {"RGB 16-bit": 1}


def test_progress_counts_every_picture(tmp_path: Path) -> None:
    roles(tmp_path)
    seen: list[tuple[int, int]] = []
    inspect(scan(tmp_path, seed=0), tmp_path, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(n, 24) for n in range(1, 25)]


def test_a_picture_under_two_labels_is_said(tmp_path: Path) -> None:
    roles(tmp_path, train=20)
    shutil.copy(tmp_path / "train/a/0.png", tmp_path / "train/b/again.png")
    (warning,) = [line for line in checked(tmp_path).warnings if "two labels" in line]
    assert warning == "1 pictures are there under two labels, the first train/a/0.png and train/b/again.png"
