"""Where artifacts are kept."""

from __future__ import annotations

import pytest

from edgetl.home import cache_folder


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGETL_CACHE", "somewhere/else")
    assert str(cache_folder()) == "somewhere/else"
    monkeypatch.delenv("EDGETL_CACHE")
    assert cache_folder().name == "edgetl"
