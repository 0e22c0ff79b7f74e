"""Skin lesions from a table to a verified engine: grouped, with a threshold, and refused where a lesion is parted."""

from __future__ import annotations

import csv
import json
import shutil
from collections import defaultdict
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from edgetl.runtime import bundle
from tests.e2e.conftest import Edgetl

pytestmark = pytest.mark.slow

READ = ("--label-column", "binary", "--group-by", "lesion_id")


@pytest.fixture
def lesions(shared: Path, tmp_path: Path) -> Path:
    """The table of real lesions, each with a second, darker photograph beside the first."""
    source, root = shared / "data/cls_skin", tmp_path / "skin"
    shutil.copytree(source, root)
    rows = list(csv.DictReader((source / "labels.csv").open()))
    for row in list(rows):
        second = row["file"].replace(".jpg", "_2.jpg")
        image = cv2.imread(str(root / row["file"]))
        assert image is not None
        cv2.imwrite(str(root / second), (image[:, ::-1] * 0.8).astype(np.uint8))
        rows.append({**row, "file": second})
    with (root / "labels.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return root / "labels.csv"


def test_lesions_stay_whole_and_the_engine_decides_by_its_threshold(
    lesions: Path, edgetl: Edgetl, tmp_path: Path
) -> None:
    checked = edgetl("check", lesions, *READ, "--json")
    assert checked.code == 0, checked.err
    assert "70 groups kept whole" in checked.data["summary"]
    built = edgetl(
        *("build", "--data", lesions, *READ, "--model", "tiny", "--device", "intel-cpu", "--instances", "2"),
        *(
            "--optimize",
            "recall@0.8",
            "--positive",
            "malignant",
            "--max-drop",
            "none",
            "--no-search",
            "--json",
        ),
    )
    assert built.code == 0, built.out + built.err
    assert any("groups: intervals take images for independent" in note for note in built.data["notes"])
    point = built.data["operating_point"]
    assert point["positive"] == "malignant"
    assert point["objective"] == "recall@0.8"
    at_build = built.data["accuracy"]["at_threshold"]["shipped"]
    assert at_build["n"] == built.data["accuracy"]["n"]
    folder = tmp_path / built.data["bundle"]
    stored = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=bundle.Manifest)
    assert stored.reading.group_by == "lesion_id"
    assert stored.training["imbalance"]["way"] == "none"

    told = edgetl("verify", folder, "--data", lesions, "--json")  # columns and groups are the bundle's own
    assert told.code == 0, told.out + told.err
    assert told.data["accuracy"]["same_test_images"]
    assert told.data["accuracy"]["at_threshold"]["shipped"]["recall"] == at_build["recall"]
    assert told.data["accuracy"]["metrics"]["shipped"]["by_class"][1]["roc_auc"]["ci95"][0] < 1

    picture = next(lesions.parent.rglob("mel/*.jpg"))
    (row,) = edgetl("predict", folder, picture, "--json").data["results"]
    chance = next(each["probability"] for each in row["top_k"] if each["label"] == "malignant")
    assert (row["label"] == "malignant") == (chance >= point["threshold"])

    assert stored.operating_point is not None
    moved = msgspec.structs.replace(stored.operating_point, threshold=0.9999)
    (folder / "manifest.json").unlink()
    bundle.seal(folder, msgspec.structs.replace(stored, operating_point=moved, files={}, sha256=""))
    refused = edgetl("verify", folder, "--data", lesions)
    assert refused.code == 1, refused.out + refused.err
    assert "recall at the threshold is 0.0 %" in refused.err


def test_roles_of_ones_own_that_part_a_lesion_are_refused(lesions: Path, edgetl: Edgetl) -> None:
    rows = list(csv.DictReader(lesions.open()))
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        counts[row["lesion_id"]] += 1
        row["split"] = "train" if counts[row["lesion_id"]] == 1 else "test"
    with lesions.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    told = edgetl("check", lesions, *READ, "--json")
    assert told.code == 2
    found = json.loads(told.out)["error"]
    assert "lesion_id span roles" in found["problem"]
    assert all(len(files) == 2 for files in found["facts"]["groups"].values())
