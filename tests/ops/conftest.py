"""What the tests of the launchers share: the kernels compiled for the CPU, and a device that runs them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.kernels.head_on_host import Library, compile_for_host
from tests.ops.host_device import HostDevice


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The fused head for the CPU; skips with a reason where there is no compiler."""
    if shutil.which("g++") is None:
        pytest.skip("no g++ on PATH: the kernel cannot be compiled for the CPU")
    return compile_for_host(tmp_path_factory.mktemp("kernels"))


@pytest.fixture
def device() -> Iterator[HostDevice]:
    """This host as a device; whoever calls it leaves no context behind."""
    made = HostDevice()
    yield made
    assert made.depth == 0
