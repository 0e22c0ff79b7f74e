"""The genuine lean runtime, whose first use without a driver ends the process: no command of ours is ended by it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from edgetl.testing import tiny_model
from tests.e2e.conftest import Ran, run_edgetl
from tests.nvidia import environment
from tests.nvidia.conftest import GPU
from tests.nvidia.environment import LEAN
from tests.nvidia.recording import prepared

pytestmark = pytest.mark.nvidia_contract

HERE = """\
devices:
  this-host:
    backend: tensorrt
    device: GPU
    scheme: tensorrt
    hosts: {machine: x86_64}
"""
"""A profile that this host is, so that nothing is left to a device elsewhere."""


@pytest.fixture(scope="module")
def lean(outside: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that imports the lean runtime as ``tensorrt``; no driver is found in it."""
    folder = environment.renamed(tmp_path_factory.mktemp("lean"), "tensorrt_lean_bindings")
    places = [environment.bindings(LEAN, outside), folder]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places)), "LD_LIBRARY_PATH": ""}


@pytest.fixture
def with_driver(lean: Mapping[str, str], tmp_path: Path) -> dict[str, str]:
    """The same where a driver answers that it has a GPU, and fails at all else: one that is too old, say."""
    answers = prepared(tmp_path / "answers", GPU)
    driver = environment.standin(LEAN.major)
    return {**lean, "LD_LIBRARY_PATH": str(driver), "STANDIN_ANSWERS": str(answers)}


def command(env: Mapping[str, str], place: Path, *words: object) -> Ran:
    """Run the command line where the lean runtime is ``tensorrt``."""
    (place / "here.yaml").write_text(HERE, encoding="utf-8")
    ran = run_edgetl(*words, cwd=place, cache=place / "cache", **env)
    assert "Traceback" not in ran.err
    return ran


def test_the_trap_is_there(lean: Mapping[str, str]) -> None:
    words = [sys.executable, "-c", "import tensorrt as trt; trt.Runtime(trt.Logger()).max_threads"]
    done = subprocess.run(words, env=lean, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGSEGV


def test_doctor_and_devices_say_what_lacks(lean: Mapping[str, str], tmp_path: Path) -> None:
    for words in (("doctor",), ("devices",), ("devices", "--devices", "here.yaml")):
        ran = command(lean, tmp_path, *words)
        assert ran.code == 0, ran.err
        assert LEAN.version in ran.out
        assert "no NVIDIA driver" in ran.out


@pytest.mark.parametrize("device", ["jetson", "nvidia-t4", "this-host"])
def test_compile_ends_with_the_code_of_a_host_that_lacks_something(
    lean: Mapping[str, str], tmp_path: Path, device: str
) -> None:
    model = tiny_model(tmp_path / "tiny.onnx")
    ran = command(lean, tmp_path, "compile", model, "--devices", "here.yaml", "--device", device, "--json")
    assert ran.code == 5, ran.err
    told = json.loads(ran.out or ran.err)
    assert told["error"]["class"] == "EnvironmentLacks"
    assert told["error"]["hint"]
    assert ("no NVIDIA driver" in told["error"]["problem"]) == (device == "this-host")


def test_a_driver_that_answers_and_then_fails_ends_no_command_either(
    with_driver: Mapping[str, str], tmp_path: Path
) -> None:
    for words in (("doctor",), ("devices",)):
        ran = command(with_driver, tmp_path, *words)
        assert ran.code == 0, ran.err
        assert "a runtime alone" in ran.out
    model = tiny_model(tmp_path / "tiny.onnx")
    ran = command(with_driver, tmp_path, "compile", model, "--devices", "here.yaml", "--device", "this-host")
    assert ran.code == 5, ran.err
