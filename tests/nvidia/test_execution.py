"""An engine opened, run and closed, from the calls that reached the library: the order, the addresses, the refusals."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.nvidia.conftest import ONE_RELEASE, Built, Child, Outcome, Place

pytestmark = pytest.mark.nvidia_contract

ENGINE = {
    "ICudaEngine.getNbIOTensors": 2,
    "ICudaEngine.getIOTensorName(0)": "input",
    "ICudaEngine.getTensorShape(input)": (-1, 32, 32, 3),
    "ICudaEngine.getTensorDataType(input)": 5,
    "ICudaEngine.getTensorIOMode(input)": 1,
    "ICudaEngine.getIOTensorName(1)": "logits",
    "ICudaEngine.getTensorShape(logits)": (-1, 5),
    "ICudaEngine.getTensorDataType(logits)": 0,
    "ICudaEngine.getTensorIOMode(logits)": 2,
    "ICudaEngine.getProfileShape": (1, 32, 32, 3),
    "IExecutionContext.getTensorShape(input)": (4, 32, 32, 3),
    "IExecutionContext.getTensorShape(logits)": (4, 5),
}
PLAN = b"ftrt plan"
LAYERS = {
    "Layers": [
        {
            "Name": "conv + relu",
            "LayerType": "CaskConvolution",
            "Inputs": [{"Name": "input", "Format/Datatype": "Int8 NC/32HW32"}],
            "TacticName": "imma",
            "Metadata": "[ONNX Layer: conv]\u001e[ONNX Layer: relu]",
        },
        {
            "Name": "to half",
            "LayerType": "Reformat",
            "Inputs": [{"Name": "x", "Format/Datatype": "Half NCHW"}],
        },
    ]
}


def opened(child: Child, answers: Mapping[str, object] | None = None, runs: int = 1) -> Outcome:
    """A plan, opened and run."""
    given = {**ENGINE, **(answers or {})}
    return child("execute", given, plan=PLAN.hex(), dims=[4, 32, 32, 3], runs=runs)


@pytest.fixture(scope="module")
def ran(child_in: Place, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Three inferences, and the end."""
    layers = {"IExecutionContext.enqueueV3!layers": "0.25 conv + relu\n0.5 to half"}
    return opened(child_in(tmp_path_factory.mktemp("ran")), layers, runs=3)


def test_shapes_are_set_before_they_are_read_and_addresses_before_the_launch(ran: Outcome) -> None:
    calls = ran.recording
    assert calls.of("IRuntime.deserializeCudaEngine")[0][:2] == (PLAN, len(PLAN))
    steps = {
        "library.createInferRuntime": 1,
        "IRuntime.deserializeCudaEngine": 1,
        "ICudaEngine.createExecutionContext": 1,
        "IExecutionContext.setInputShape": 1,
        "IExecutionContext.getTensorShape": 2,
        "IExecutionContext.setTensorAddress": 2,
        "IExecutionContext.enqueueV3": 3,
    }
    assert calls.order(*steps) == [step for step, times in steps.items() for _ in range(times)]
    assert calls.of("IExecutionContext.setInputShape") == [("input", (4, 32, 32, 3))]
    assert calls.of("IExecutionContext.setTensorAddress") == [("input", 0x1000), ("logits", 0x2000)]
    assert calls.of("IExecutionContext.enqueueV3") == [(0x77,)] * 3


def test_tensors_are_the_engines(ran: Outcome) -> None:
    assert ran.result["tensors"] == [
        {"name": "input", "dtype": "uint8", "shape": [None, 32, 32, 3], "mode": "input"},
        {"name": "logits", "dtype": "float32", "shape": [None, 5], "mode": "output"},
    ]
    assert ran.result["shapes"] == {"input": [4, 32, 32, 3], "logits": [4, 5]}


def test_the_profiler_is_told_of_each_layer_and_run(ran: Outcome) -> None:
    assert ran.result["milliseconds"] == {"conv + relu": 0.75, "to half": 1.5}


def test_the_end_comes_in_order(ran: Outcome) -> None:
    ends = ("IExecutionContext.~", "ICudaEngine.~", "IRuntime.~")
    assert ran.recording.order(*ends) == [*ends]


def test_an_engine_that_is_not_opened_raises_with_the_log(child: Child) -> None:
    failing = {
        "IRuntime.deserializeCudaEngine": None,
        "IRuntime.deserializeCudaEngine!log": "1 Serialization assertion magicTagRead == kMAGIC_TAG failed.",
    }
    outcome = opened(child, failing)
    assert outcome.error["class"] == "BackendError"
    assert "kMAGIC_TAG" in outcome.error["problem"]
    assert "build it again" in outcome.error["hint"]


@ONE_RELEASE
def test_a_context_without_memory_raises_with_the_log(child: Child) -> None:
    failing = {
        "ICudaEngine.createExecutionContext": None,
        "ICudaEngine.createExecutionContext!log": "1 Error Code 2: OutOfMemory",
    }
    outcome = opened(child, failing)
    assert outcome.error["class"] == "BackendError"
    assert "OutOfMemory" in outcome.error["problem"]


def test_a_shape_outside_of_the_profile_is_told_with_its_bounds(child: Child) -> None:
    outcome = opened(child, {"IExecutionContext.setInputShape": False})
    assert outcome.error["class"] == "InputError"
    assert "(1, 32, 32, 3)" in outcome.error["problem"]


@pytest.mark.parametrize("call", ["setTensorAddress", "enqueueV3"])
def test_a_refused_address_or_launch_is_an_error(child: Child, call: str) -> None:
    outcome = opened(
        child, {f"IExecutionContext.{call}": False, f"IExecutionContext.{call}!log": "1 no such thing"}
    )
    assert outcome.error["class"] == "BackendError"
    assert "no such thing" in outcome.error["problem"]


def test_an_engine_is_explained_by_the_inspector(child: Child, quantized: Built) -> None:
    told = {"IEngineInspector.getEngineInformation": json.dumps(LAYERS)}
    given = {"engine": quantized.outcome.result, "folder": str(quantized.folder)}
    outcome = child("explain", {**ENGINE, **told}, **given)
    assert [(layer["name"], layer["precision"], layer["kind"]) for layer in outcome.result] == [
        ("conv + relu", "i8", "CaskConvolution"),
        ("to half", "f16", "Reorder"),
    ]
    assert outcome.recording.of("IEngineInspector.getEngineInformation") == [("JSON",)]


@ONE_RELEASE
@pytest.mark.parametrize("change", ["tensorrt", "gpu", "byte"])
def test_an_engine_of_another_release_or_gpu_or_with_another_byte_is_never_deserialised(
    child: Child, quantized: Built, tmp_path: Path, change: str
) -> None:
    engine = dict(quantized.outcome.result)
    shutil.copy(quantized.folder / "engine.plan", tmp_path)
    if change == "byte":
        (tmp_path / "engine.plan").write_bytes(b"ftrt and a plaN")
    else:
        engine["built_with"] = {**engine["built_with"], change: "9.9.9"}
    outcome = child("explain", ENGINE, engine=engine, folder=str(tmp_path))
    assert outcome.error["class"] == ("BackendError" if change == "byte" else "NotComparable")
    assert "edgetl compile" in outcome.error["hint"]
    assert not outcome.recording.of("library.createInferRuntime")
