"""Fixtures that every test may use, and a fence: no test meets the user's settings or the network."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

SETTINGS = ("CI", "COLUMNS", "LINES", "NO_COLOR", "PYTHONPATH", "PYTHONWARNINGS")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
END_TO_END = Path(__file__).parent / "e2e"
SHARED_BUILD = "built"
"""The fixture of minutes that tests in that folder share."""
NOWHERE = "http://127.0.0.1:9"
"""The discard port: what a child process asks of the network fails at once."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Several processes share whole files, and slow tests one by one; all that read one build go together, first.

    A slow file that names a group of its own stays together.
    """
    for item in items:
        if item.get_closest_marker("xdist_group"):
            continue
        slow = item.get_closest_marker("slow") is not None
        group = SHARED_BUILD if _reads_build(item) else item.nodeid if slow else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: not _reads_build(item))


def _reads_build(item: pytest.Item) -> bool:
    return item.path.parent == END_TO_END and SHARED_BUILD in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data; skips with a reason where it is not given."""
    place = os.environ.get("EDGETL_SHARED", "")
    if place and (Path(place) / "data").is_dir():
        return Path(place).resolve()
    reason = "EDGETL_SHARED does not name a folder with real data"
    if "shared" in os.environ.get("EDGETL_REQUIRE", "").split(","):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def outside() -> Mapping[str, str]:
    """The environment as it was before the fence: for the one test that installs from a package index."""
    return dict(_BEFORE)


_BEFORE = dict(os.environ)


@pytest.fixture(scope="session", autouse=True)
def _fence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Settings of the user are hidden, caches are the session's own, and only loopback can be reached."""
    caches = tmp_path_factory.mktemp("caches")
    with pytest.MonkeyPatch.context() as patch:
        for name in SETTINGS:
            patch.delenv(name, raising=False)
        for name in PROXIES:
            patch.setenv(name, NOWHERE)
        patch.setenv("EDGETL_CACHE", str(caches / "edgetl"))
        patch.setenv("TORCH_HOME", str(caches / "torch"))
        patch.setenv("HF_HOME", str(caches / "huggingface"))
        patch.setattr(socket.socket, "connect", _guarded(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", _guarded(socket.socket.connect_ex))
        yield


def _guarded(connect: Any) -> Any:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise RuntimeError(f"a test reached for the network: {address}")
        return connect(self, address)

    return guarded
