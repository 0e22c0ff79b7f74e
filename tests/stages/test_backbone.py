"""What tells a starting network from another, so that the cache never serves the wrong one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgetl.stages import backbone, train
from edgetl.stages.train import Setting
from edgetl.types import BuildSpec

SPEC = BuildSpec(data="", model="netsofmine:make")
MODULE = "from blocksofmine import WIDTH\n\n\ndef make(): ...\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is worked in, with a network of one's own in two modules."""
    (tmp_path / "netsofmine.py").write_text(MODULE)
    (tmp_path / "blocksofmine.py").write_text("WIDTH = 8\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(**asked: Any) -> dict[str, Any]:
    """The identity of a request's network."""
    return backbone.identity(msgspec.structs.replace(SPEC, **asked))


@pytest.mark.parametrize(
    ("file", "text"), [("netsofmine.py", f"{MODULE}# wider\n"), ("blocksofmine.py", "WIDTH = 16\n")]
)
def test_a_network_of_ones_own_is_another_once_its_code_is(here: Path, file: str, text: str) -> None:
    setting = Setting(here, here, {}, 1)
    before, timed = told(), train.fast_path_stage(SPEC, setting).options
    assert told() == before
    (here / file).write_text(text)
    assert told()["network"] != before["network"]
    assert train.fast_path_stage(SPEC, setting).options != timed


def test_the_same_code_elsewhere_is_the_same_network(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = told()
    (here / "moved").mkdir()
    for file in here.glob("*.py"):
        file.rename(here / "moved" / file.name)
    assert told()["network"] == "", "it is not found; the stage that makes it says so"
    monkeypatch.chdir(here / "moved")
    assert told() == before


def test_random_weights_are_those_of_their_seed(here: Path) -> None:
    assert "random, seed 0" in told()["weights"]
    assert told(seed=1)["weights"] != told()["weights"]
    assert told(model="timm/x", seed=1) == told(model="timm/x")
    assert told(model="tiny", seed=1) == told(model="tiny")
