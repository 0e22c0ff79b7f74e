"""The instrument itself: what the genuine bindings call is recorded, and what goes wrong is not passed over."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.nvidia.environment import Release
from tests.nvidia.recording import Recording, Vocabulary, prepared

pytestmark = pytest.mark.nvidia_contract

EVERY_STEP = """
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
    """Runs a few lines of Python on a release; ``calls`` are those of all runs."""

    def __init__(self, env: Mapping[str, str], words: Vocabulary, place: Path) -> None:
        self.env, self.words, self.place = env, words, place

    def __call__(self, text: str, answers: Mapping[str, object]) -> subprocess.CompletedProcess[str]:
        given = prepared(self.place / "answers", answers)
        env = {**self.env, "STANDIN_LOG": str(self.place / "log"), "STANDIN_ANSWERS": str(given)}
        command = [sys.executable, "-c", f"import tensorrt as trt\n{text}"]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    @property
    def calls(self) -> Recording:
        return Recording.read(self.place / "log", self.words)


@pytest.fixture
def program(installed: Mapping[str, str], words: Vocabulary, tmp_path: Path) -> Program:
    """On each release."""
    return Program(installed, words, tmp_path)


def test_the_bindings_meet_what_they_were_compiled_for(program: Program) -> None:
    done = program(EVERY_STEP, ANSWERS)
    assert done.returncode == 0, done.stderr
    seen = program.calls
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


def test_the_library_is_asked_for_by_the_number_of_the_release(release: Release, program: Program) -> None:
    program("trt.Runtime(trt.Logger())", {})
    major, minor, patch = (int(part) for part in release.version.split(".")[:3])
    number = (1000 if major < 10 else 10000) * major + 100 * minor + patch
    assert program.calls.of("library.createInferRuntime") == [(number,)]


@pytest.mark.parametrize(
    ("text", "answers", "words"),
    [
        (
            "b = trt.Builder(trt.Logger())\n"
            "assert b.build_serialized_network(b.create_network(0), b.create_builder_config()) is None",
            {"IBuilder.buildSerializedNetwork": None},
            "",
        ),
        (
            "assert trt.Runtime(trt.Logger()).deserialize_cuda_engine(b'x') is None",
            {"IRuntime.deserializeCudaEngine": None},
            "",
        ),
        ("trt.Builder(trt.Logger())", {"library.createInferBuilder": None}, "TypeError"),
        ("trt.Runtime(trt.Logger())", {"library.createInferRuntime": None}, "TypeError"),
    ],
    ids=["build", "deserialise", "builder", "runtime"],
)
def test_a_null_pointer_reaches_python_as_none_or_an_error(
    program: Program, text: str, answers: Mapping[str, object], words: str
) -> None:
    done = program(text, answers)
    assert (done.returncode == 0) == (not words), done.stderr
    assert words in done.stderr


def test_a_slot_that_nobody_described_stops_the_program_and_is_named(program: Program) -> None:
    done = program("trt.Builder(trt.Logger()).create_network(0).add_constant((1,), trt.Weights())", {})
    assert done.returncode == -signal.SIGABRT
    assert "INetworkDefinition::addConstant" in done.stderr


def test_a_name_that_a_release_has_not_is_an_error(release: Release, program: Program) -> None:
    text = "trt.Builder(trt.Logger()).create_builder_config().set_flag(trt.BuilderFlag.INT8)"
    done = program(text, {})
    assert (done.returncode == 0) == (release.major != "11"), done.stderr


def test_a_call_after_the_end_is_marked(program: Program) -> None:
    text = (
        "engine = trt.Runtime(trt.Logger()).deserialize_cuda_engine(b'x')\n"
        "inspector, context = engine.create_engine_inspector(), engine.create_execution_context()\n"
        "inspector.execution_context = context\n"
        "del context\n"
        "inspector.execution_context.name\n"
    )
    done = program(text, {})
    assert done.returncode == 0, done.stderr
    assert [call.method for call in program.calls.calls if call.late] == ["IExecutionContext.getName"]
