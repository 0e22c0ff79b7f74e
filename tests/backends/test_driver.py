"""The driver is asked in a child, and what it does to the child is an answer."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import pytest

from edgetl import isolate
from edgetl.backends import driver
from edgetl.errors import BackendError


class Cuda:
    """A driver library with one GPU, or with what a test wants of ``cuInit``."""

    def __init__(self, code: int = 0, count: int = 1) -> None:
        self.code = code
        self.count = count

    def cuInit(self, flags: int) -> int:
        return self.code

    def cuDeviceGetCount(self, out: Any) -> int:
        return _give(out, self.count)

    def cuDriverGetVersion(self, out: Any) -> int:
        return _give(out, 12060)

    def cuDeviceGet(self, out: Any, index: int) -> int:
        return _give(out, index)

    def cuDeviceGetName(self, buffer: Any, size: int, device: int) -> int:
        buffer.value = b"Orin (nvgpu)"
        return 0

    def cuDeviceTotalMem_v2(self, out: Any, device: int) -> int:
        return _give(out, 8 << 30)

    def cuDeviceGetAttribute(self, out: Any, attribute: int, device: int) -> int:
        return _give(out, {75: 8, 76: 7, 18: 1}[attribute])


def _give(out: Any, value: int) -> int:
    out._obj.value = value
    return 0


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    driver.find.cache_clear()
    yield
    driver.find.cache_clear()  # an answer that a test made is nobody else's


def test_a_gpu_is_told_with_what_decides_over_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Cuda())
    assert driver.look() == {
        "version": "12.6",
        "gpus": [{"name": "Orin", "capability": "8.7", "memory_mib": 8192, "integrated": True}],
    }


@pytest.mark.parametrize(
    ("cuda", "reason"),
    [
        (Cuda(code=100), "finds no GPU"),
        (Cuda(count=0), "finds no GPU"),
        (Cuda(code=803), "not the host's"),
        (Cuda(code=999), "code 999"),
    ],
)
def test_a_driver_that_has_nothing_says_why(monkeypatch: pytest.MonkeyPatch, cuda: Cuda, reason: str) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: cuda)
    assert reason in driver.look()["reason"]


def test_no_driver_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert "no NVIDIA driver" in driver.look()["reason"]


def test_a_child_that_dies_of_the_driver_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(function: str, arguments: object) -> Any:
        raise BackendError(f"{function} was ended by SIGSEGV: it said nothing")

    monkeypatch.setattr(isolate, "call", dies)
    found = driver.find()
    assert "SIGSEGV" in found.reason
    assert not found.gpus


def test_the_real_one_answers_in_a_child_whatever_this_host_is() -> None:
    found = driver.find()
    assert bool(found.reason) != bool(found.gpus)
