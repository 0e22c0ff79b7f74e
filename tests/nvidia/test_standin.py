"""The instrument itself: what the genuine bindings call is recorded, and what goes wrong is not passed over."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.nvidia.conftest import GPU
from tests.nvidia.environment import ROOT, Release
from tests.nvidia.recording import Recording, Vocabulary, prepared

pytestmark = pytest.mark.nvidia_contract

EVERY_STEP = """
import tensorrt as trt

class Log(trt.ILogger):
    def __init__(self):
        trt.ILogger.__init__(self)
        self.said = []
    def log(self, severity, message):
        self.said.append((severity.name, message))

class Times(trt.IProfiler):
    def __init__(self):
        trt.IProfiler.__init__(self)
        self.took = []
    def report_layer_time(self, layer, ms):
        self.took.append((layer, ms))

log = Log()
builder = trt.Builder(log)
network, config = builder.create_network(0), builder.create_builder_config()
config.set_flag(trt.BuilderFlag.TF32)
config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
config.clear_flag(trt.BuilderFlag.TF32)
assert not config.get_flag(trt.BuilderFlag.TF32)
assert config.flags == 1 << int(trt.BuilderFlag.GPU_FALLBACK)
config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, 3 << 30)
assert config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) == 3 << 30
config.avg_timing_iterations = 7
assert config.avg_timing_iterations == 7
profile = builder.create_optimization_profile()
profile.set_shape("input", (1, 3), (2, 3), (4, 3))
assert [tuple(shape) for shape in profile.get_shape("input")] == [(1, 3), (2, 3), (4, 3)]
assert (config.add_optimization_profile(profile), config.add_optimization_profile(profile)) == (0, 1)
assert builder.num_DLA_cores == 2
assert bytes(builder.build_serialized_network(network, config)) == bytes(range(256))
assert log.said == [("WARNING", "a warning"), ("ERROR", "an \\"error\\"")], log.said
runtime = trt.Runtime(log)
engine = runtime.deserialize_cuda_engine(b"a plan")
assert [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)] == ["input", "logits"]
assert tuple(engine.get_tensor_shape("logits")) == (-1, 5)
context = engine.create_execution_context()
times = Times()
context.profiler = times
assert context.set_tensor_address("input", 4096) and context.execute_async_v3(7)
assert times.took == [("conv 1", 0.25), ("relu", 0.5)], times.took
inspector = engine.create_engine_inspector()
inspector.execution_context = context
assert inspector.get_engine_information(trt.LayerInformationFormat.JSON) == '{"Layers": []}'
"""

ANSWERS = {
    "IBuilder.getNbDLACores": 2,
    "IBuilder.buildSerializedNetwork": bytes(range(256)),
    "IBuilder.buildSerializedNetwork!log": '2 a warning\n1 an "error"',
    "ICudaEngine.getNbIOTensors": 2,
    "ICudaEngine.getIOTensorName(0)": "input",
    "ICudaEngine.getIOTensorName(1)": "logits",
    "ICudaEngine.getTensorShape(logits)": (-1, 5),
    "IExecutionContext.enqueueV3!layers": "0.25 conv 1\n0.5 relu",
    "IEngineInspector.getEngineInformation": '{"Layers": []}',
}


class Program:
    """Runs a few lines of Python on a release."""

    def __init__(self, env: Mapping[str, str], place: Path) -> None:
        self.env, self.log, self.place = env, place / "log", place

    def __call__(self, text: str) -> subprocess.CompletedProcess[str]:
        answers = prepared(self.place / "answers", {**GPU, **ANSWERS})
        env = {**self.env, "STANDIN_LOG": str(self.log), "STANDIN_ANSWERS": str(answers)}
        words = [sys.executable, "-c", text]
        return subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def program(installed: Mapping[str, str], tmp_path: Path) -> Program:
    """On each release."""
    return Program(installed, tmp_path)


def test_the_bindings_meet_what_they_were_compiled_for(program: Program, words: Vocabulary) -> None:
    done = program(EVERY_STEP)
    assert done.returncode == 0, done.stderr
    seen = Recording.read(program.log, words)
    assert seen.of("IBuilderConfig.setFlag") == [("TF32",), ("GPU_FALLBACK",)]
    assert seen.of("IBuilderConfig.setMemoryPoolLimit") == [("WORKSPACE", 3 << 30)]
    assert seen.of("IOptimizationProfile.setDimensions") == [
        ("input", "MIN", (1, 3)),
        ("input", "OPT", (2, 3)),
        ("input", "MAX", (4, 3)),
    ]
    assert seen.of("IRuntime.deserializeCudaEngine")[0][:2] == (b"a plan", 6)
    assert seen.of("IExecutionContext.enqueueV3") == [(7,)]
    assert not any(call.late for call in seen.calls)


def test_a_release_is_asked_for_by_its_own_number(
    release: Release, program: Program, words: Vocabulary
) -> None:
    program("import tensorrt as trt; trt.Runtime(trt.Logger())")
    major, minor, patch = (int(part) for part in release.version.split(".")[:3])
    number = (1000 if major < 10 else 10000) * major + 100 * minor + patch
    assert Recording.read(program.log, words).of("library.createInferRuntime") == [(number,)]


def test_what_the_library_refuses_comes_back_as_nothing(program: Program) -> None:
    told = {"IBuilder.buildSerializedNetwork": None, "IRuntime.deserializeCudaEngine": None}
    ANSWERS_BEFORE = dict(ANSWERS)
    try:
        ANSWERS.update(told)  # type: ignore[arg-type]
        done = program(
            "import tensorrt as trt\n"
            "builder = trt.Builder(trt.Logger())\n"
            "assert builder.build_serialized_network(builder.create_network(0), builder.create_builder_config()) is None\n"
            "assert trt.Runtime(trt.Logger()).deserialize_cuda_engine(b'x') is None\n"
        )
    finally:
        ANSWERS.clear()
        ANSWERS.update(ANSWERS_BEFORE)
    assert done.returncode == 0, done.stderr
