"""``torchrun -m edgetl train``: several processes come to what one comes to, also where one of them is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgetl.runtime import open_bundle
from edgetl.transfer.trainer import STATE
from tests.data.pictures import folders
from tests.e2e.conftest import run_edgetl

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("torchrun")]  # one set of fixtures

NETWORK = """
from torch import nn

def make():  # no batch norm: its statistics would be of each process's part
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.GroupNorm(2, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 9)
    )
"""
TRAIN = (
    *("train", "--data", "../pictures", "--model", "plain:make", "--weights", "none", "--imgsz", "32"),
    *("--epochs", "6", "--lr", "0.02", "--out", "ckpt"),
)
ODD = ("--method", "full", "--batch-size", "15")
"""Two processes have parts of 8 and 7 pictures."""
LAUNCH = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", "1")


@dataclass(frozen=True)
class Home:
    """A folder that commands run in, with a cache of its own."""

    place: Path

    def checkpoint(self) -> dict[str, Any]:
        """What was trained."""
        found: dict[str, Any] = json.loads((self.place / "ckpt/checkpoint.json").read_text())
        return found

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Several processes that run a command."""
        return subprocess.Popen(
            [*LAUNCH, "-m", "edgetl", *arguments],
            cwd=self.place,
            env={**os.environ, "EDGETL_CACHE": str(self.place / "cache")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        """What they said, all of it."""
        return finished(self.start(*arguments))

    def forget(self) -> None:
        """Let the training go, and keep the stages before it: which arithmetic is fastest here is settled."""
        for file in list((self.place / "cache").rglob("checkpoint.json")):
            shutil.rmtree(file.parent)


def finished(launched: subprocess.Popen[str]) -> str:
    """What processes said that came to their end; those that wait for each other are ended."""
    try:
        said = launched.communicate(timeout=240)[0]
    except subprocess.TimeoutExpired:
        launched.terminate()  # torchrun ends its workers
        said = launched.communicate()[0]
        pytest.fail(f"they did not end:\n{said}")
    assert launched.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One process trained here."""
    root = tmp_path_factory.mktemp("torchrun")
    folders(root / "pictures", {"ants": 32, "bees": 31})
    (root / "home").mkdir()
    (root / "home/plain.py").write_text(NETWORK)
    ran = run_edgetl(*TRAIN, *ODD, cwd=root / "home", cache=root / "home/cache")
    assert ran.code == 0, ran.err
    shutil.copy(root / "home/ckpt/checkpoint.json", root / "alone.json")  # other tests train something else
    return Home(root / "home")


@pytest.fixture(scope="module")
def alone(home: Home) -> dict[str, Any]:
    """What one process came to."""
    found: dict[str, Any] = json.loads((home.place.parent / "alone.json").read_text())
    return found


@pytest.fixture(scope="module")
def together(home: Home, alone: dict[str, Any]) -> dict[str, Any]:
    """What two came to, and what they said."""
    said = home.run(*TRAIN, *ODD)
    return {**home.checkpoint(), "said": said}


def test_two_processes_come_to_what_one_comes_to(alone: dict[str, Any], together: dict[str, Any]) -> None:
    near = 1e-4 if "float32" in alone["choices"]["fast_path"] else 2e-2
    one, two = alone["history"], together["history"]
    assert len(one) == len(two) > 1
    for mine, theirs in zip(one, two):
        assert theirs["loss"] == pytest.approx(mine["loss"], rel=near)
        assert theirs["select_loss"] == pytest.approx(mine["select_loss"], rel=near)
    assert one[-1]["loss"] < one[0]["loss"] - 100 * 1e-4, "nothing was learnt: any two would agree"


def test_they_speak_with_one_voice(together: dict[str, Any]) -> None:
    lines = [line.split()[0] for line in together["said"].splitlines() if line.startswith("  ")]
    said = [word for word in lines if word != "note"]
    assert said == ["check", "backbone", "prepare", "fastpath", "train", "written", "next"]
    assert together["said"].count("2 processes") == 1


def worker(launched: subprocess.Popen[str], rank: int) -> int:
    """The process of that rank among those that torchrun started."""
    place = Path(f"/proc/{launched.pid}/task/{launched.pid}/children")
    for pid in place.read_text().split():
        if f"\0RANK={rank}\0" in Path(f"/proc/{pid}/environ").read_text():
            return int(pid)
    raise AssertionError("there is no such process")


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_worker_is_started_again_and_the_training_goes_on(
    home: Home, together: dict[str, Any], rank: int
) -> None:
    home.forget()
    launched = home.start(*TRAIN, *ODD)
    kept: list[Path] = []
    while not kept and launched.poll() is None:
        kept = list((home.place / "cache/training").glob(f"*/{STATE}"))
        time.sleep(0.02)
    os.kill(worker(launched, rank), signal.SIGKILL)
    said = finished(launched)
    assert said.count("fastpath") == 2, "nothing was started again"
    found = home.checkpoint()
    assert (found["weights"], found["history"]) == (together["weights"], together["history"])
    assert not list((home.place / "cache/training").glob("*"))


def test_a_method_without_steps_is_run_by_one_process_which_says_so(home: Home) -> None:
    said = home.run(*TRAIN, "--method", "feature")
    assert "one of the 2 processes does it all" in said
    assert said.count("written to") == 1


def test_a_build_trains_together_and_one_process_makes_the_bundle(home: Home) -> None:
    small = ("--imgsz", "32", "--epochs", "1", "--no-search", "--instances", "2", "--max-drop", "none")
    network = ("--model", "plain:make", "--weights", "none", "--method", "full", "--batch-size", "16")
    said = home.run("build", "--data", "../pictures", *network, *small)
    assert "2 processes" in said
    assert said.count("  bundle  ") == 1
    assert open_bundle(home.place / "runs/latest").manifest.model == "plain:make"
