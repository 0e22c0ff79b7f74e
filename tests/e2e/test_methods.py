"""Every method that trains, from labelled photographs to an engine that was held against the trained network."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgetl import digest
from edgetl.transfer.methods.known import METHODS, TAUGHT
from edgetl.transfer.trainer import STATE
from tests.e2e.conftest import Edgetl, Ran, run_edgetl

pytestmark = pytest.mark.slow

TRAIN = ("--model", "tiny", "--imgsz", "32", "--epochs", "3", "--batch-size", "16")
BUILD = (*TRAIN, "--device", "intel-cpu", "--no-search", "--instances", "2", "--max-drop", "none")


@pytest.fixture(scope="module")
def insects(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four ants and as many bees to train on, twelve of each to test on."""
    root = tmp_path_factory.mktemp("insects")
    for role, count in (("train", 24), ("val", 12)):
        for folder in sorted((shared / "data/cls_hymenoptera" / role).iterdir()):
            (root / role / folder.name).mkdir(parents=True)
            for picture in sorted(folder.iterdir())[:count]:
                shutil.copy(picture, root / role / folder.name)
    return root


def stages(ran: Ran) -> list[str]:
    """Names of the stages of a build."""
    return [row["name"] for row in ran.data["stages"]]


@pytest.mark.parametrize("method", [name for name in METHODS if name not in TAUGHT])
def test_a_method_comes_to_a_verified_engine(
    method: str, insects: Path, edgetl: Edgetl, tmp_path: Path
) -> None:
    ran = edgetl("build", "--data", insects, "--method", method, *BUILD, "--json")
    assert ran.code == 0, ran.err
    found = ran.data
    assert found["method"] == method
    assert found["accuracy"]["n"] == 24
    assert found["accuracy"]["shipped"] >= 0.5
    assert {*METHODS[method].needs, "train", "export", "verify:int8"} <= set(stages(ran))
    manifest = json.loads((tmp_path / found["bundle"] / "manifest.json").read_text())
    assert manifest["method"] == method
    if method == "auto":
        assert manifest["training"]["picked"] in ("feature", "discriminative")
        assert "select images" in manifest["training"]["why"]
    if method == "lora":
        assert any("7 layers adapted" in note for note in found["notes"])
        assert "peft" in manifest["versions"]
    told = edgetl("predict", found["bundle"], next((insects / "val/bees").iterdir()), "--json")
    assert told.data["results"][0]["label"] in ("ants", "bees")


def test_how_pictures_are_varied_travels_with_the_engine_which_is_asked_in_fog(
    insects: Path, edgetl: Edgetl, tmp_path: Path
) -> None:
    varied = ("--method", "full", "--augment", "strong", "--no-flip")
    ran = edgetl("build", "--data", insects, *varied, *BUILD, "--json")
    assert ran.code == 0, ran.err
    manifest = json.loads((tmp_path / ran.data["bundle"] / "manifest.json").read_text())
    policy = manifest["training"]["augment"]
    assert (policy["name"], policy["flip"], policy["operations"], policy["cutmix"]) == ("strong", False, 2, 1)
    asked = ("--corruptions", "weather,light", "--severities", "5", "--picture", "hard.svg")
    told = edgetl("verify", ran.data["bundle"], "--data", insects, *asked, "--json")
    assert told.code == 0, told.out + told.err
    found = told.data["corruptions"]
    assert found["n"] == 24 and {"fog", "low_light"} <= {cell["corruption"] for cell in found["cells"]}
    assert all({"reference", "candidate"} <= set(cell) for cell in found["cells"])
    assert (tmp_path / "hard.svg").read_text(encoding="utf-8").startswith(("<?xml", "<svg"))


def test_auto_keeps_the_probe_where_labels_are_too_few_to_fine_tune(
    insects: Path, edgetl: Edgetl, tmp_path: Path
) -> None:
    for role, count in (("train", 6), ("val", 12)):
        for folder in (insects / role).iterdir():
            (tmp_path / "few" / role / folder.name).mkdir(parents=True)
            for picture in sorted(folder.iterdir())[:count]:
                shutil.copy(picture, tmp_path / "few" / role / folder.name)
    ran = edgetl("train", "--data", "few", "--method", "auto", *TRAIN, "--json")
    assert ran.code == 0, ran.err
    assert ran.data["training"]["picked"] == "feature"
    assert "5 labels of the rarest class are too few" in ran.data["training"]["why"]


def test_a_fine_tuning_that_diverges_leaves_the_probe_and_is_told(insects: Path, edgetl: Edgetl) -> None:
    ran = edgetl("train", "--data", insects, "--method", "auto", "--lr", "1e30", *TRAIN)
    assert ran.code == 0, ran.err
    assert "fine-tuning failed" in ran.err
    assert "training diverged" in ran.err


def test_a_training_that_diverges_ends_with_the_answer_no(
    insects: Path, edgetl: Edgetl, tmp_path: Path
) -> None:
    ran = edgetl("train", "--data", insects, "--method", "norm", "--lr", "1e30", *TRAIN)
    assert ran.code == 1
    assert "training diverged" in ran.err
    assert "a lower --lr" in ran.err
    assert not (tmp_path / "checkpoint").exists()


def test_random_weights_are_refused_by_what_keeps_them_and_trained_by_auto(
    insects: Path, edgetl: Edgetl
) -> None:
    refused = edgetl("train", "--data", insects, "--method", "lora", "--weights", "none", *TRAIN)
    assert refused.code == 2
    assert "--method full" in refused.err
    ran = edgetl(
        "train", "--data", insects, "--method", "auto", "--weights", "none", *TRAIN, "--epochs", "1", "--json"
    )
    assert ran.code == 0, ran.err
    assert ran.data["training"]["picked"] == "full"


def test_a_killed_lora_goes_on_and_comes_to_the_same_checkpoint(insects: Path, tmp_path: Path) -> None:
    command = ["train", "--data", str(insects), "--method", "lora", *TRAIN, "--epochs", "8", "--out", "ckpt"]
    home = tmp_path / "home"
    home.mkdir()
    first = run_edgetl(*command, cwd=home, cache=home / "cache")
    assert first.code == 0, first.err
    whole = digest.of_tree(home / "ckpt")[0]
    shutil.rmtree(home / "ckpt")
    for record in list((home / "cache").rglob("checkpoint.json")):
        if json.loads(record.read_bytes())["method"] == "lora":
            entry = next(p for p in record.parents if (p / "record.json").exists())
            shutil.rmtree(entry)
    child = subprocess.Popen(
        [sys.executable, "-m", "edgetl", *command],
        cwd=home,
        env={**os.environ, "EDGETL_CACHE": str(home / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not list((home / "cache/training").glob(f"*/{STATE}")) and child.poll() is None:
        time.sleep(0.02)
    assert child.poll() is None, "the training ended before it was killed"
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert not (home / "ckpt").exists()
    again = run_edgetl(*command, cwd=home, cache=home / "cache")
    assert again.code == 0, again.err
    assert digest.of_tree(home / "ckpt")[0] == whole
