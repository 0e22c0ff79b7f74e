"""The whole path where TensorRT is installed: built, opened, run, explained, held to every backend's contract."""

from __future__ import annotations

from typing import ClassVar

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
    free_batch: ClassVar = {
        "minShapes": "input:1x32x32x3",
        "optShapes": "input:1x32x32x3",
        "maxShapes": "input:5x32x32x3",
    }

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
