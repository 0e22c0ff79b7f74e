"""Bundles, made once a session and copied by whoever changes one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runtime.sealed import Kind, make

Sealed = Callable[..., Path]


@pytest.fixture(scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    """A bundle of a kind; nobody may change it."""
    home = tmp_path_factory.mktemp("bundles")
    made: dict[Kind, Path] = {}

    def get(kind: Kind | None = None) -> Path:
        wanted = kind or Kind()
        if wanted not in made:
            made[wanted] = make(home / str(len(made)), wanted)
        return made[wanted]

    return get


@pytest.fixture
def copied(sealed: Sealed, tmp_path: Path) -> Sealed:
    """A bundle of a kind, to be changed."""

    def get(kind: Kind | None = None, name: str = "copy") -> Path:
        return Path(shutil.copytree(sealed(kind), tmp_path / name))

    return get
