"""One small build that the tests of this folder share, and the command line as a child process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        """The one JSON object on standard output."""
        found: dict[str, Any] = json.loads(self.out)
        return found


Edgetl = Callable[..., Ran]


def run_edgetl(*arguments: object, cwd: Path, cache: Path, **extra: str) -> Ran:
    """Run the command line in a child process, away from the checkout."""
    environment = {**os.environ, "EDGETL_CACHE": str(cache), **extra}
    done = subprocess.run(
        [sys.executable, "-m", "edgetl", *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=600,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One artifact store for the session: the second build of the same thing is quick."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def edgetl(tmp_path: Path, store: Path) -> Edgetl:
    """The command line, run in an empty folder."""

    def call(*arguments: object, cwd: Path = tmp_path, cache: Path = store, **extra: str) -> Ran:
        return run_edgetl(*arguments, cwd=cwd, cache=cache, **extra)

    return call


BUILD = (
    "build",
    "--data",
    "demo",
    "--model",
    "tiny",
    "--device",
    "intel-cpu",
    "--instances",
    "2",
    "--max-drop",
    "5%",
)


@dataclass(frozen=True)
class Built:
    """A finished build: where it ran, and what it printed."""

    cwd: Path
    ran: Ran

    @property
    def bundle(self) -> Path:
        """The bundle's folder."""
        return self.cwd / str(self.ran.data["bundle"])


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Built:
    """The demo data through every stage, once for all tests of this folder."""
    cwd = tmp_path_factory.mktemp("built")
    ran = run_edgetl(*BUILD, "--json", cwd=cwd, cache=store)
    assert ran.code == 0, ran.err
    return Built(cwd, ran)
