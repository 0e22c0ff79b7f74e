"""What the tests on a GPU share; without one they skip with the reason, or fail where ``EDGETL_REQUIRE`` names gpu."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

from edgetl.backends.cuda import on_pycuda
from edgetl.backends.cuda.on_pycuda import PyCudaDriver
from edgetl.errors import EnvironmentLacks

AFFINE = Path(__file__).parents[2] / "benchmarks" / "_affine.py"


def lacking(reason: str) -> None:
    """Skip, or fail where a GPU was promised."""
    if "gpu" in os.environ.get("EDGETL_REQUIRE", "").split(","):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def cuda() -> PyCudaDriver:
    """This host's GPU by PyCUDA."""
    try:
        return on_pycuda.find()
    except EnvironmentLacks as error:
        lacking(error.problem)
        raise


@pytest.fixture(scope="session")
def affine() -> Any:
    """The benchmark's own engine: one kernel that needs no vendor."""
    spec = importlib.util.spec_from_file_location("_affine", AFFINE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
