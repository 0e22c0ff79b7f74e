"""timm's weights: taken from what an earlier download left, and never fetched where downloads are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from edgetl.errors import EnvironmentLacks
from edgetl.transfer import backbone
from edgetl.types import BuildSpec

timm = pytest.importorskip("timm")
NAME = "test_resnet"
SPEC = BuildSpec(data="", model=f"timm/{NAME}", offline=True)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's client."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_offline_refuses_what_is_not_there_without_asking_the_network(hub: Path) -> None:
    with pytest.raises(EnvironmentLacks, match=r"are not on this host \(model\.safetensors of timm/") as told:
        backbone.create(SPEC, 2)
    assert told.value.facts["file"] == "model.safetensors"


def test_what_a_download_left_is_taken_offline(hub: Path) -> None:
    network = timm.create_model(NAME)
    with torch.no_grad():
        network.conv1[0].weight.fill_(0.25)
    repository = network.pretrained_cfg["hf_hub_id"]
    place = hub / f"models--{repository.replace('/', '--')}"
    (place / "snapshots" / "abc").mkdir(parents=True)
    save_file(network.state_dict(), place / "snapshots" / "abc" / "model.safetensors")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc")
    made = backbone.create(SPEC, 2)
    body: Any = made.net.body
    assert body.conv1[0].weight.unique().item() == 0.25
