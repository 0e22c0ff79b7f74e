"""Where artifacts are kept, and CUDA is."""

from __future__ import annotations

import pytest

from edgetl.home import cache_folder, cuda_folder


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGETL_CACHE", "somewhere/else")
    assert str(cache_folder()) == "somewhere/else"
    monkeypatch.delenv("EDGETL_CACHE")
    assert cache_folder().name == "edgetl"


def test_cuda_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    assert cuda_folder() is None
    monkeypatch.setenv("CUDA_PATH", "one")
    assert str(cuda_folder()) == "one"
    monkeypatch.setenv("CUDA_HOME", "another")
    assert str(cuda_folder()) == "another"
