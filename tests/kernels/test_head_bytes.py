"""The floors of the head's benchmark: bytes are those of the arrays, and time is that of their bandwidth."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgetl import devices

PROGRAMS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``benchmarks/_head_bytes.py``; a program's folder is on the path of that program alone."""
    monkeypatch.syspath_prepend(str(PROGRAMS))
    return importlib.import_module("_head_bytes")


@pytest.mark.parametrize("batch", [1, 8, 64])
def test_bytes_are_those_of_the_arrays(counting: Any, batch: int) -> None:
    arrays: list[np.ndarray[Any, Any]] = [
        np.empty((batch, 1280, 7, 7), np.float16),
        np.empty((1000, 1280), np.float16),
        np.empty(1000, np.float32),  # the bias
        np.empty((batch, 5), np.int32),
        np.empty((batch, 5), np.float32),
        np.empty(batch, np.int32),  # the status
    ]
    assert counting.HEADS["MobileNetV2"].bytes(batch) == sum(array.nbytes for array in arrays)


def test_a_floor_is_bytes_through_bandwidth(counting: Any) -> None:
    """68 GB/s are 68,000 bytes a microsecond."""
    assert counting.floor_us(68_000 * 40, 68) == pytest.approx(40)


def test_floors_are_of_nvidias_boards_alone(counting: Any) -> None:
    found = counting.profiles(devices.load())
    assert found["jetson-orin-nano"] == 68
    assert "raspberry-pi-5" not in found and "intel-cpu" not in found


def test_the_picture_shows_the_floors_that_are_kept(counting: Any) -> None:
    picture = importlib.import_module("draw_head")
    results = json.loads((PROGRAMS / "results" / "head.json").read_text(encoding="utf-8"))
    assert picture.OUT.read_text(encoding="utf-8") == picture.drawn(results)
    size, bandwidth = (
        counting.HEADS["ResNet-50"].bytes(1),
        counting.profiles(devices.load())["jetson-orin-nano"],
    )
    assert f">{counting.floor_us(size, bandwidth):.1f}<" in picture.drawn(results)
