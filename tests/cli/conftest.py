"""The command line in this process: quick, and what it prints and its exit code are seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgetl.cli import main
from tests import handmade


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in an empty folder, on a terminal of 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")

    def call(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main.main([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return Ran(code, told.out, told.err)

    return call


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Colourful pictures in class folders."""
    return handmade.write_pictures(tmp_path_factory.mktemp("colours"))


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """A bundle of them that is right."""
    return handmade.write_bundle(tmp_path_factory.mktemp("whole") / "bundle", pictures, backend="onnxruntime")
