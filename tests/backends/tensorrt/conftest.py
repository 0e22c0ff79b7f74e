"""The hand-made vendor module in the place of the genuine one, and a driver that says what a test wants."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import edgetl.backends.tensorrt as package
from edgetl import isolate
from edgetl.backends import driver
from edgetl.backends.driver import Driver, Gpu
from edgetl.backends.tensorrt import backend

FAKE = Path(__file__).parent / "fake"
ORIN = Gpu(name="Orin", capability="8.7", memory_mib=7620, integrated=False)

Vendor = Callable[..., Any]


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Vendor]:
    """Loads the fake, told what it does; a GPU is there as well.

    What runs in a child process runs in this one, for speed, unless ``children`` says that it shall.
    """
    start_child = isolate.call
    before = {name: module for name, module in sys.modules.items() if _is_vendors(name)}
    monkeypatch.syspath_prepend(FAKE)
    monkeypatch.setenv("PYTHONPATH", str(FAKE))
    monkeypatch.setenv("EDGETL_CACHE", str(tmp_path / "cache"))

    def load(gpu: Gpu = ORIN, *, children: bool = False, **told: Any) -> Any:
        monkeypatch.setattr(isolate, "call", start_child if children else _here)
        monkeypatch.setenv("FAKE_TENSORRT", json.dumps(told))
        monkeypatch.setattr(driver, "find", lambda: Driver(version="12.6", gpus=(gpu,)))
        _forget()
        return importlib.import_module("tensorrt")

    load()
    yield load
    _forget()
    sys.modules.update(before)


def _here(function: str, arguments: Mapping[str, Any]) -> Any:
    """``isolate.call`` without a process: the same JSON goes in and comes out."""
    module, _, name = function.partition(":")
    told = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(arguments)))
    return json.loads(json.dumps(told))


def _is_vendors(name: str) -> bool:
    """The vendor's module, and those of ours that hold on to it."""
    if name.startswith(f"{package.__name__}."):
        return hasattr(sys.modules[name], "trt")
    return name == "tensorrt" or name.startswith("tensorrt.")


def _forget() -> None:
    for name in [name for name in sys.modules if _is_vendors(name)]:
        del sys.modules[name]
        vars(package).pop(name.rpartition(".")[2], None)
    backend._host.cache_clear()
