"""Distillation, several seeds and the comparison with scratch: from labelled pictures to a verified engine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgetl.runtime import open_bundle
from tests.e2e.conftest import Edgetl, Ran

pytestmark = pytest.mark.slow

COUNTS = {"train": 24, "val": 24}
"""Pictures a class: enough to train on for two epochs and to compare by."""
SMALL = (
    "--model",
    "tiny",
    "--imgsz",
    "32",
    "--device",
    "intel-cpu",
    "--max-drop",
    "none",
    "--instances",
    "2",
)
SHORT = ("--epochs", "2", "--batch-size", "16", "--no-search")


@pytest.fixture(scope="module")
def insects(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few of the photographs of ants and bees, in their two roles."""
    root = tmp_path_factory.mktemp("insects") / "insects"
    for role, count in COUNTS.items():
        for name in ("ants", "bees"):
            (root / role / name).mkdir(parents=True)
            for file in sorted((shared / "data/cls_hymenoptera" / role / name).glob("*.jpg"))[:count]:
                shutil.copyfile(file, root / role / name / file.name)
    return root


def built(edgetl: Edgetl, insects: Path, *options: str) -> tuple[Ran, dict[str, Any]]:
    """A build that came to a verified engine, and what it says of the training."""
    ran = edgetl("build", "--data", insects, *SMALL, *SHORT, *options, "--json")
    assert ran.code == 0, ran.err
    assert edgetl("verify", ran.data["bundle"], "--data", insects).code == 0
    return ran, ran.data["training"]


def test_distillation_over_two_seeds_is_held_against_scratch_and_teaches_the_next(
    edgetl: Edgetl, insects: Path, tmp_path: Path
) -> None:
    ran, told = built(
        edgetl, insects, "--method", "distill", "--teacher", "tiny", "--seeds", "2", "--compare", "scratch"
    )
    assert told["teacher"]["given"] == "tiny" and told["teacher"]["select_accuracy"] > 0.5
    seeds = told["seeds"]
    assert [run["seed"] for run in seeds["runs"]] == [0, 1]
    best = max(seeds["runs"], key=lambda run: (run["select_accuracy"], -run["select_loss"]))
    assert seeds["chosen"] == best["seed"]
    assert ran.data["accuracy"]["fp32"] == pytest.approx(best["test_accuracy"], abs=0.03)
    against = told["compare"]["against"]
    assert set(against) == {"scratch", "frozen"}
    assert all(side["ci95_pt"][0] <= side["gain_pt"] <= side["ci95_pt"][1] for side in against.values())
    assert told["compare"]["epochs"]["transfer"] <= 2

    bundle = open_bundle(tmp_path / ran.data["bundle"])
    assert bundle.manifest.training["augment"]["mixup"] == 1
    assert bundle.manifest.seed == 0 and bundle.manifest.training["seeds"] == seeds
    shown = edgetl("report", ran.data["bundle"], "--out", "page.html")
    assert shown.code == 0 and seeds["sentence"] in (tmp_path / "page.html").read_text()

    second, told = built(edgetl, insects, "--method", "rkd", "--teacher", ran.data["bundle"])
    assert told["teacher"]["sentence"].startswith("the float graph of bundle insects")
    assert str(tmp_path) not in json.dumps(second.data["training"])
    refused = edgetl(
        "build", "--data", "demo", *SMALL, "--method", "rkd", "--teacher", ran.data["bundle"], "--json"
    )
    assert refused.code == 2
    assert "ants, bees" in refused.data["error"]["problem"] and "0, 1, 2" in refused.data["error"]["problem"]


def test_without_a_teacher_the_same_backbone_teaches_and_the_summary_says_so(
    edgetl: Edgetl, insects: Path
) -> None:
    ran = edgetl(
        "train", "--data", insects, "--model", "tiny", "--imgsz", "32", *SHORT[:4], "--method", "rkd"
    )
    assert ran.code == 0, ran.err
    assert "teacher    none was given, so the same backbone: tiny, all weights" in ran.err
