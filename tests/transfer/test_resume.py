"""A training that is killed goes on from its last whole epoch and comes to the same checkpoint."""

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
import torch

from edgetl import digest
from edgetl.transfer.trainer import STATE
from tests.data.pictures import folders
from tests.e2e.conftest import run_edgetl

pytestmark = pytest.mark.slow

COMMAND = (
    "train --data ../pictures --model tiny --weights none --method full --epochs 6 --imgsz 32 --out ckpt"
)


def trained(home: Path) -> str:
    """Train in a folder with a cache of its own; digest of the checkpoint."""
    home.mkdir(exist_ok=True)
    ran = run_edgetl(*COMMAND.split(), cwd=home, cache=home / "cache")
    assert ran.code == 0, ran.err
    return digest.of_tree(home / "ckpt")[0]


def untrained(calm: Path, home: Path) -> None:
    """The cache of a whole run without its checkpoint: which arithmetic is fastest here is settled, and kept."""
    shutil.copytree(calm / "cache", home / "cache")
    (file,) = [p for p in (home / "cache").rglob("checkpoint.json")]
    entry = file.parent
    while not (entry / "record.json").exists():
        entry = entry.parent
    shutil.rmtree(entry)


def killed(home: Path) -> Path:
    """A training that dies by SIGKILL once it kept an epoch; the file that it kept."""
    child = subprocess.Popen(
        [sys.executable, "-m", "edgetl", *COMMAND.split()],
        cwd=home,
        env={**os.environ, "EDGETL_CACHE": str(home / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    kept: list[Path] = []
    while not kept and child.poll() is None:
        kept = list((home / "cache/training").glob(f"*/{STATE}"))
        time.sleep(0.02)
    assert child.poll() is None, "the training ended before it was killed"
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    (state,) = kept
    return state


def test_a_killed_training_resumes_to_the_same_checkpoint(tmp_path: Path) -> None:
    folders(tmp_path / "pictures", {"ants": 60, "bees": 60})
    whole = trained(tmp_path / "calm")
    untrained(tmp_path / "calm", tmp_path / "killed")
    state = killed(tmp_path / "killed")
    assert state.exists()
    assert not (tmp_path / "killed/ckpt").exists()
    shutil.copytree(tmp_path / "killed", tmp_path / "marked")
    assert trained(tmp_path / "killed") == whole
    assert not list((tmp_path / "killed/cache/training").glob("*")), "what was kept outlives the training"

    marked = tmp_path / "marked" / state.relative_to(tmp_path / "killed")
    kept = torch.load(marked, weights_only=True)
    kept["progress"]["history"][0]["marked"] = 1.0
    torch.save(kept, marked)
    trained(tmp_path / "marked")
    history = json.loads((tmp_path / "marked/ckpt/checkpoint.json").read_text())["history"]
    assert history[0]["marked"] == 1.0, "the first epoch was trained again"
