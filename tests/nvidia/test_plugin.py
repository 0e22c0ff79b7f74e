"""The plugin's library where TensorRT is: the genuine lean runtime takes it, and each release is asked for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from edgetl.backends.tensorrt.plugin import LIBRARY, OPERATOR, VERSION
from tests.kernels.on_host import KERNELS
from tests.kernels.plugin_headers import cuda_headers, headers, release_of
from tests.nvidia import environment
from tests.nvidia.conftest import Child
from tests.nvidia.environment import LEAN, Release

pytestmark = pytest.mark.nvidia_contract

ASKED = """
import ctypes, json, os, sys
import numpy as np
import tensorrt_lean_bindings as trt

ctypes.CDLL("libnvinfer_lean.so.11", mode=os.RTLD_NOLOAD | os.RTLD_GLOBAL)
ctypes.CDLL(sys.argv[1])
registry = trt.get_plugin_registry()
creator = registry.get_creator(*sys.argv[2:5])

scale = np.zeros(1, np.float32)  # the bindings keep no array alive

def made(top_k):
    count = np.array([top_k], np.int32)
    fields = [
        trt.PluginField("top_k", count, trt.PluginFieldType.INT32),
        trt.PluginField("feature_scale", scale, trt.PluginFieldType.FLOAT32),
    ]
    return creator.create_plugin("head", trt.PluginFieldCollection(fields), trt.TensorRTPhase.BUILD)

plugin = made(5)
core = plugin.get_capability_interface(trt.PluginCapabilityType.CORE)
print(json.dumps({
    "creator": [creator.name, creator.plugin_version, creator.plugin_namespace],
    "fields": [field.name for field in creator.field_names],
    "plugin": [core.plugin_name, core.plugin_version, core.plugin_namespace],
    "too many": made(50) is None,
    "no namespace": registry.get_creator(sys.argv[2], sys.argv[3], "") is None,
    "next version": registry.get_creator(sys.argv[2], "2", sys.argv[4]) is None,
}))
"""
STUBS = "".join(
    f'extern "C" int {name}() {{ return 1; }}\n'
    for name in (
        *("cudaGetDevice", "cudaDeviceGetAttribute", "cudaMemsetAsync"),
        *("edgetl_head_workspace", "edgetl_head_launch"),
    )
)
"""In the place of CUDA and of the kernel, where nothing is launched."""


def headers_of(major: str) -> Path:
    """Headers of a major release; skips where none of those named is."""
    found = [folder for folder in headers() if str(release_of(folder)[0]) == major]
    if not found:
        pytest.skip(f"TENSORRT_INCLUDE names no headers of TensorRT {major}")
    return found[0]


def test_the_genuine_lean_runtime_takes_the_library(outside: Mapping[str, str], tmp_path: Path) -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("no nvcc on PATH: the plugin's library cannot be built")
    vendors = headers_of(LEAN.major)
    sources = [KERNELS / "plugin" / "plugin.cpp", *sorted((KERNELS / "csrc").glob("*.cu"))]
    options = [
        f"--options-file={KERNELS / 'nvcc.options'}",
        f"-I{KERNELS / 'include'}",
        "-isystem",
        str(vendors),
    ]
    target = ["-arch=sm_87", "-shared", "-o", str(tmp_path / LIBRARY)]
    built = subprocess.run(
        [nvcc, *options, *target, *map(str, sources)], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    env = {**os.environ, "PYTHONPATH": str(environment.bindings(LEAN, outside)), "LD_LIBRARY_PATH": ""}
    command = [sys.executable, "-c", ASKED, str(tmp_path / LIBRARY), OPERATOR, VERSION, "edgetl"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    identity = [OPERATOR, VERSION, "edgetl"]
    assert (told["creator"], told["plugin"]) == (identity, identity)
    assert told["fields"] == ["top_k", "feature_scale"]
    assert told["too many"]
    assert told["no namespace"]
    assert told["next version"]


@pytest.fixture
def library(release: Release, tmp_path: Path) -> Path:
    """The plugin for a release, with nothing below it."""
    compiler = shutil.which("g++")
    assert compiler is not None, "the stand-in was compiled with it"
    (tmp_path / "stubs.cpp").write_text(STUBS, encoding="utf-8")
    places = [
        f"-I{KERNELS / 'include'}",
        *(f"-isystem{place}" for place in (headers_of(release.major), cuda_headers())),
    ]
    sources = [str(KERNELS / "plugin" / "plugin.cpp"), str(tmp_path / "stubs.cpp")]
    command = [compiler, "-std=c++17", "-shared", "-fPIC", *places, "-o", str(tmp_path / LIBRARY), *sources]
    subprocess.run(command, check=True)
    return tmp_path / LIBRARY


def test_a_build_loads_it_first_and_asks_for_its_creator(
    release: Release, child: Child, library: Path
) -> None:
    model = child.place / "model.fused.onnx"
    model.write_bytes(OPERATOR.encode())
    asked = "IPluginRegistry.getPluginCreator" if release.major == "8" else "IPluginRegistry.getCreator"
    outcome = child(
        "compile",
        {asked: None},  # a stand-in has no creator to give: the lean runtime, which has, is asked above
        model=str(model),
        folder=str(child.place),
        precision="int8",
        options={"staticPlugins": str(library)},
    )
    assert outcome.error["class"] == "EnvironmentLacks"
    assert f"registers no {OPERATOR} {VERSION}" in outcome.error["problem"]
    assert [args[-1] for args in outcome.recording.of("IPluginRegistry.registerCreator")] == ["edgetl"]
    assert outcome.recording.of(asked) == [(OPERATOR, VERSION, "edgetl")]
    assert not outcome.recording.of("IParser.parseFromFile")
