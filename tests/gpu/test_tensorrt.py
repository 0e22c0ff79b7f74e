"""The whole path where TensorRT is installed: built, opened, run, explained, held to every backend's contract."""

from __future__ import annotations

import pytest

from edgetl.backends import seam
from edgetl.backends.seam import Backend
from edgetl.errors import EnvironmentLacks
from edgetl.testing import BackendContract
from tests.gpu.conftest import lacking


class TestTensorRT(BackendContract):
    """TensorRT, in f32 and on the GPU."""

    name = "tensorrt"
    library = "tensorrt"
    device = "GPU"
    absent = "dla:9"

    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls) -> Backend:
        """It, where it is usable."""
        try:
            found = seam.find(cls.name)
            probe = found.probe()
        except EnvironmentLacks as error:
            lacking(error.problem)
            raise
        if not probe.usable:
            lacking(probe.reason)
        return found
