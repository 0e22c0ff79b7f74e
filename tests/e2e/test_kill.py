"""A build that is killed goes on from its last whole stage and comes to the same digests."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import BUILD, run_edgetl

pytestmark = pytest.mark.slow

KILLS = 30
MEASURED = ("bench", "explain", "select")
"""Stages whose result is a measurement: equal inputs give equal digests in all the others."""
SETTLED = (*BUILD, "--no-search", "--json")
"""Without the search: which placement of integers is fastest is measured, and all after it would be of that."""


def digests(cache: Path, ran: dict[str, Any]) -> dict[str, str]:
    """What every stage left that measures nothing, by the keys that a build printed."""
    return {
        row["name"]: json.loads((cache / row["key"][:2] / row["key"] / "record.json").read_text())["digest"]
        for row in ran["stages"]
        if row["name"].partition(":")[0] not in MEASURED
    }


def test_thirty_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    """SIGKILL at any moment of any stage: the next run resumes, and the final digests are those of a calm run."""
    calm = run_edgetl(*SETTLED, cwd=tmp_path, cache=tmp_path / "calm")
    assert calm.code == 0, calm.err
    expected = digests(tmp_path / "calm", calm.data)
    rng = random.Random(0)
    seconds = sum(row["seconds"] for row in calm.data["stages"])
    cache = tmp_path / "killed"
    finished = 0
    for _ in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-m", "edgetl", *SETTLED],
            cwd=tmp_path,
            env={**os.environ, "EDGETL_CACHE": str(cache)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(rng.uniform(0.3, max(2.0, seconds / 4)))
        finished += child.poll() is not None
        os.killpg(child.pid, signal.SIGKILL) if child.poll() is None else None
        child.wait()
    last = run_edgetl(*SETTLED, cwd=tmp_path, cache=cache)
    assert last.code == 0, last.err
    assert digests(cache, last.data) == expected
    assert finished < KILLS, "every run ended before it was killed: nothing was tested"
    bundles = [place for place in (tmp_path / "runs" / "demo").iterdir() if place.suffix != ".partial"]
    assert bundles
    for bundle in [*bundles, tmp_path / "runs" / "latest"]:  # what has a final name is whole
        assert run_edgetl("verify", bundle, cwd=tmp_path, cache=cache).code == 0


def test_an_interrupt_ends_with_130_and_says_that_nothing_is_lost(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "edgetl", *BUILD],
        cwd=tmp_path,
        env={**os.environ, "EDGETL_CACHE": str(tmp_path / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    while not list((tmp_path / "cache").glob("*/*/record.json")) and child.poll() is None:
        time.sleep(0.05)  # until a stage is whole: how long that takes is the machine's
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130, said
    assert "interrupted" in said
    assert "Traceback" not in said
