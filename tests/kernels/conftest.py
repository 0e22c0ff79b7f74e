"""What the tests of the kernels share: the library that a CPU can run."""

from __future__ import annotations

import shutil

import pytest

from tests.kernels import preprocess_on_host
from tests.kernels.head_on_host import Library, compile_for_host


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The fused head for the CPU; skips with a reason where there is no compiler."""
    if shutil.which("g++") is None:
        pytest.skip("no g++ on PATH: the kernel cannot be compiled for the CPU")
    return compile_for_host(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="session")
def preprocess_library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The fused preprocessor for the CPU; skips with a reason where there is no compiler."""
    if shutil.which("g++") is None:
        pytest.skip("no g++ on PATH: the kernel cannot be compiled for the CPU")
    return preprocess_on_host.compile_for_host(tmp_path_factory.mktemp("kernels"))
