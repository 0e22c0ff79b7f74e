"""``edgetl advise`` as a user types it, and the build that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import Edgetl

pytestmark = pytest.mark.slow


def test_advice_on_real_pictures_leads_to_a_build(edgetl: Edgetl, shared: Path, tmp_path: Path) -> None:
    """A network of ImageNet is told from one of generated pictures, and the next command finds the features."""
    data, lite0 = (
        shared / "data/cls_hymenoptera",
        shared / "data/weights/efficientnet_lite0_imagenet.safetensors",
    )
    asked = ("advise", "--data", data, "--models", f"tiny,timm/tf_efficientnet_lite0={lite0},resnet50")
    told = edgetl(*asked, "--picture", "front.svg")
    assert told.code == 0, told.err
    assert "▸ timm/tf_efficientnet_lite0" in told.out
    assert "weights are not here: --download" in told.out and "resnet50-" in told.out
    assert (tmp_path / "front.svg").read_text().startswith("<svg")
    again = edgetl(*asked, "--json")
    assert [row["name"] for row in again.data["backbones"]] == ["timm/tf_efficientnet_lite0", "tiny"]
    assert again.data["recommended"] == "timm/tf_efficientnet_lite0"
    plan = edgetl(*again.data["command"].split()[1:], "--method", "feature", "--plan", "--json")
    states = {row["stage"]: row["cached"] for row in plan.data["stages"]}
    assert states["features"] and not states["train"]


def test_advice_on_the_demo_without_any_weights_of_torchvision(edgetl: Edgetl) -> None:
    """Nothing but what comes along is asked for, and a limit that is not kept ends with 1 and the nearest."""
    told = edgetl(
        "advise", "--data", "demo", "--models", "tiny,mobilenet_v2", "--max-latency", "0.001ms", "--json"
    )
    assert told.code == 1
    assert "the fastest is tiny with" in told.data["failure"]["problem"]
    assert told.data["skipped"][0]["name"] == "mobilenet_v2"
