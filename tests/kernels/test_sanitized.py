"""Heads and frames of many shapes on the CPU: AddressSanitizer and UBSan watch memory, ThreadSanitizer the barriers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kernels.on_host import compiled

BARRIERS = 7
"""Two chunks of channels have two each, then come the ticket's two and that of the merge."""

STEP = 50
"""Random heads of one run."""
FRAMES = 150


def sweep(program: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end or to the first finding of a sanitizer.

    Threads are many and short: their histories, of which ThreadSanitizer prints stacks, are kept as small as can be.
    """
    return subprocess.run(
        [str(program), *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TSAN_OPTIONS": "halt_on_error=1 history_size=0"},
        timeout=600,
    )


@pytest.fixture(scope="module")
def compiler() -> None:
    """Skips with a reason without one."""
    if shutil.which("g++") is None:
        pytest.skip("no g++ on PATH: the kernel cannot be compiled for the CPU")


@pytest.fixture(scope="module")
def memory(compiler: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep under AddressSanitizer and UBSan."""
    return compiled(tmp_path_factory.mktemp("memory"), "sweep.cpp", "address", "undefined")


@pytest.fixture(scope="module")
def races(compiler: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep under ThreadSanitizer."""
    return compiled(tmp_path_factory.mktemp("races"), "sweep.cpp", "thread")


@pytest.mark.parametrize(
    "first", [0, *(pytest.param(first, marks=pytest.mark.slow) for first in range(STEP, 600, STEP))]
)
def test_random_heads_are_right_and_stay_within_their_memory(memory: Path, first: int) -> None:
    done = sweep(memory, "random", str(first), str(STEP))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == STEP


@pytest.mark.slow
def test_awkward_heads_are_right_and_stay_within_their_memory(memory: Path) -> None:
    done = sweep(memory, "awkward")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"1 x 111 x 7 x 7 -> 999, ", done.stdout)


def test_what_the_barriers_order_has_no_race(races: Path) -> None:
    done = sweep(races, "races")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "barrier", [0, *(pytest.param(number, marks=pytest.mark.slow) for number in range(1, BARRIERS))]
)
def test_a_missing_barrier_is_a_race(races: Path, barrier: int) -> None:
    done = sweep(races, "races", str(barrier))
    assert "WARNING: ThreadSanitizer: data race" in done.stderr
    assert done.returncode != 0


@pytest.fixture(scope="module")
def frame_races(compiler: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The preprocessor's sweep under ThreadSanitizer."""
    return compiled(tmp_path_factory.mktemp("frame_races"), "sweep_preprocess.cpp", "thread")


def test_random_frames_stay_within_their_memory_and_are_the_same_in_any_order(
    compiler: None, tmp_path: Path
) -> None:
    done = sweep(
        compiled(tmp_path, "sweep_preprocess.cpp", "address", "undefined"), "random", "0", str(FRAMES)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == FRAMES


def test_what_the_preprocessors_barriers_order_has_no_race(frame_races: Path) -> None:
    done = sweep(frame_races, "races")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("barrier", [0, 1])
def test_a_missing_barrier_of_the_preprocessor_is_a_race(frame_races: Path, barrier: int) -> None:
    done = sweep(frame_races, "races", str(barrier))
    assert "WARNING: ThreadSanitizer: data race" in done.stderr
    assert done.returncode != 0
