"""From labelled pictures and frames of another place to a verified engine for that place, by each way of adapting."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgetl.data.decode import read_image
from edgetl.verify import corruptions
from tests.e2e.conftest import Edgetl

pytestmark = pytest.mark.slow

LABELLED, FRAMES = 300, 400
QUICK = ("--model", "tiny", "--imgsz", 32, "--max-drop", "none", "--no-search", "--instances", 2)


@pytest.fixture(scope="session")
def places(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR-10 pictures as they are in ``home``, and others in fog, in class folders, in ``city``."""
    root = tmp_path_factory.mktemp("places")
    with np.load(shared / "data/cls_cifar10/train.npz", allow_pickle=False) as pack:
        packed, names = pack["jpeg"].tobytes(), pack["class_names"].tolist()
        bounds = list(pairwise(pack["offsets"].tolist()))
        labels = pack["labels"].tolist()
    for row in range(LABELLED + FRAMES):
        picture = read_image(packed[slice(*bounds[row])])
        place = "home" if row < LABELLED else "city"
        if place == "city":
            picture = corruptions.apply(picture, "fog", 4, np.random.default_rng(row))
        folder = root / place / names[labels[row]]
        folder.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / f"{row}.png"), np.ascontiguousarray(picture[..., ::-1]))
    return root


@pytest.mark.parametrize(
    ("way", "method"), [("adabn", "feature"), ("tent", "feature"), ("coral", "feature"), ("dann", "feature")]
)
def test_each_way_comes_to_a_verified_engine_that_is_better_where_it_goes(
    edgetl: Edgetl, places: Path, tmp_path: Path, way: str, method: str
) -> None:
    asked = ("--method", method, "--epochs", 4, "--adapt", places / "city", "--adapt-method", way)
    told = edgetl("build", "--data", places / "home", *asked, *QUICK, "--json")
    assert told.code == 0, told.err
    found = told.data["adaptation"]
    assert found["method"] == way
    assert found["frames"] == FRAMES // 2
    assert found["gain"]["n"] == FRAMES // 2
    assert found["verdict"] == "gain", found["sentence"]
    assert found["gain_ci95_pt"][0] > 0
    assert told.data["accuracy"]["n"] == FRAMES // 2, "accuracy is that of the labelled frames"
    assert told.data["accuracy"]["fp32"] == pytest.approx(found["gain"]["candidate_accuracy"])

    bundle = tmp_path / told.data["bundle"]
    adapted = json.loads((bundle / "manifest.json").read_text())["adapted"]
    assert adapted["method"] == way
    assert adapted["gain_pt"] == pytest.approx(found["gain_pt"])
    assert told.data["next"][1] == f"edgetl verify runs/latest --data {places / 'city'}"
    for place, held_to in (
        ("city", told.data["accuracy"]["shipped"]),
        ("home", found["source"]["candidate_accuracy"]),
    ):
        verified = edgetl("verify", bundle, "--data", places / place, "--max-drop", "none", "--json")
        assert verified.code == 0, verified.err
        assert verified.data["accuracy"]["same_test_images"] is True
        assert verified.data["accuracy"]["at_build"] == held_to
        assert verified.data["accuracy"]["shipped"] == pytest.approx(held_to, abs=0.02)
    page = edgetl("report", bundle, "--out", "page.html")
    assert page.code == 0, page.err
    assert "On the target" in (tmp_path / "page.html").read_text()


def test_frames_without_labels_claim_no_gain(
    edgetl: Edgetl, places: Path, tmp_path: Path, flattened: Callable[[Path], Path]
) -> None:
    told = edgetl("build", "--data", places / "home", "--adapt", flattened(places / "city"), *QUICK, "--json")
    assert told.code == 0, told.err
    found = told.data["adaptation"]
    assert found["verdict"] == "unknown"
    assert found["gain"] is None
    assert "without labels" in found["sentence"]
    assert told.data["accuracy"]["n"] < FRAMES // 2, "accuracy is that of the labelled data's test images"


@pytest.fixture
def flattened(tmp_path: Path) -> Callable[[Path], Path]:
    """A folder's pictures without their class folders."""

    def make(place: Path) -> Path:
        flat = tmp_path / "flat"
        flat.mkdir()
        for file in place.rglob("*.png"):
            (flat / file.name).symlink_to(file)
        return flat

    return make


def test_a_checkpoint_is_adapted_by_train(edgetl: Edgetl, places: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for file in sorted((places / "city").rglob("*.png"))[:9]:
        (few / file.name).symlink_to(file)
    (few / "torn.png").write_bytes(b"no picture")
    asked = ("train", "--data", places / "home", *QUICK[:4], "--adapt", few)
    told = edgetl(*asked, "--json")
    assert told.code == 0, told.err
    notes = " ".join(told.data["notes"])
    assert "1 target frame left out, the first torn.png" in notes
    assert "are few" in notes
    record = json.loads((tmp_path / "checkpoint/checkpoint.json").read_text())
    assert record["choices"]["adapted"] == "adabn"
    assert edgetl("export", "checkpoint").code == 0
