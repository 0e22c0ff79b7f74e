"""What a fresh process imports: a device has neither torch nor onnx, and a prompt should not wait for them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HEAVY = {"onnx", "scipy", "torch", "torchvision", "timm", "sklearn", "pydantic"}

HELP = """
import json, runpy, sys
sys.argv = ["edgetl", "--help"]
try:
    runpy.run_module("edgetl", run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted(sys.modules)))
"""

RUNTIME = """
import json, sys
import edgetl.runtime
edgetl.runtime.load
print(json.dumps(sorted(sys.modules)))
"""

WALLED = """
import importlib, json, pkgutil, sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision", "timm", "onnx", "typer", "rich", "yaml", "scipy"}:
            raise ModuleNotFoundError(f"{name} is walled off", name=name)

sys.meta_path.insert(0, Wall())
import edgetl.backends, edgetl.runtime
names = [
    module.name
    for package in (edgetl.runtime, edgetl.backends)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
]
for name in names:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:  # a module that needs NVIDIA's libraries, and nothing else that is not there
        if error.name.partition(".")[0] not in {"cuda", "pycuda", "tensorrt"}:
            raise
print(json.dumps(names))
"""


def child(program: str, cwd: Path) -> list[str]:
    """The JSON list on the last line of what a program prints, run away from the checkout."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_help_imports_no_numbers_and_no_networks(tmp_path: Path) -> None:
    found = set(child(HELP, tmp_path))
    assert "edgetl.cli.main" in found
    assert not found & (HEAVY | {"numpy", "cv2", "openvino", "onnxruntime", "yaml"})
    assert not found & {"filelock", "msgspec", "platformdirs"}, "what a command needs, it imports itself"


def test_the_runtime_imports_nothing_that_trains_or_converts(tmp_path: Path) -> None:
    found = set(child(RUNTIME, tmp_path))
    assert "edgetl.runtime" in found
    assert not found & (HEAVY | {"typer", "rich", "yaml"})


def test_all_of_runtime_and_backends_loads_behind_a_wall(tmp_path: Path) -> None:
    found = child(WALLED, tmp_path)
    assert {"edgetl.runtime.bundle", "edgetl.backends.openvino", "edgetl.backends.onnxruntime"} <= set(found)
