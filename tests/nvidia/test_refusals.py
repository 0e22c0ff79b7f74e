"""What TensorRT refuses is an error of ours with its words, and what it cannot survive is never asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.nvidia.conftest import ONE_RELEASE, Build, Child
from tests.nvidia.environment import Release
from tests.nvidia.test_build_path import FREE_BATCH, MISFIT, SHAPES

pytestmark = pytest.mark.nvidia_contract

UNPARSED = {
    "IParser.parseFromFile": False,
    "IParser.parse": False,
    "IParser.getNbErrors": 2,
    "IParser.getError(0)": "@first",
    "IParserError@first.desc": "No importer registered for op: Frobnicate",
    "IParserError@first.node": 3,
    "IParserError@first.nodeName": "head/frobnicate",
    "IParserError@first.nodeOperator": "Frobnicate",
    "IParser.getError(1)": "@second",
    "IParserError@second.desc": "Invalid node",
    "IParserError@second.node": 4,
    "IParserError@second.nodeName": "head/softmax",
    "IParserError@second.nodeOperator": "Softmax",
}
NO_KERNEL = "Error Code 10: Internal Error (Could not find any implementation for node conv.)"


def test_a_parser_error_names_its_node(release: Release, build: Build, tmp_path: Path) -> None:
    outcome = build(UNPARSED)
    assert outcome.error["class"] == "BackendError"
    assert "No importer registered for op: Frobnicate" in outcome.error["problem"]
    place = "node 3" if release.major == "8" else "head/frobnicate"  # 8.x knows the place alone
    assert place in outcome.error["problem"]
    assert len(outcome.facts["nodes"]) == 2
    assert not outcome.recording.of("IBuilder.buildSerializedNetwork")
    assert not (tmp_path / "engine.plan").exists()


def test_a_build_that_gives_nothing_raises_with_the_log(build: Build, tmp_path: Path) -> None:
    failing = {
        "IBuilder.buildSerializedNetwork": None,
        "IBuilder.buildSerializedNetwork!log": f"2 a warning\n1 [optimizer.cpp::computeCosts::3869] {NO_KERNEL}",
    }
    outcome = build(failing)
    assert outcome.error["class"] == "BackendError"
    assert NO_KERNEL in outcome.error["problem"]
    assert "a warning" in str(outcome.facts)
    assert not (tmp_path / "engine.plan").exists()


@ONE_RELEASE
def test_memory_that_ran_out_is_told_with_what_mends_it(build: Build) -> None:
    failing = {
        "IBuilder.buildSerializedNetwork": None,
        "IBuilder.buildSerializedNetwork!log": "1 Error Code 2: OutOfMemory (no further information)",
    }
    outcome = build(failing)
    assert "memory" in outcome.error["hint"]
    assert "workspace" in outcome.error["hint"]


def test_a_builder_that_cannot_be_made_is_told_with_what_mends_it(build: Build) -> None:
    old_driver = "1 CUDA initialization failure with error: 35. Please check your CUDA installation"
    lost = {"library.createInferBuilder": None, "library.createInferBuilder!log": old_driver}
    outcome = build(lost)
    assert outcome.error["class"] == "EnvironmentLacks"
    assert "initialization failure with error: 35" in outcome.error["problem"]
    assert "update the driver" in outcome.error["hint"]


@ONE_RELEASE
@pytest.mark.parametrize(
    "silence",
    [
        {"driver.cuDeviceGetCount": 0},
        {"driver.cuInit": 100},
        {"driver.cuInit": 803},
        {"driver.cuInit": 999},
    ],
    ids=["none", "100", "803", "999"],
)
def test_without_a_gpu_nothing_of_the_library_is_made(build: Build, silence: Mapping[str, object]) -> None:
    outcome = build(silence)
    assert outcome.error["class"] == "EnvironmentLacks"
    assert outcome.error["hint"]
    assert {call.on for call in outcome.recording.calls} == {"driver"}


@ONE_RELEASE
def test_without_a_driver_nothing_is_called(release: Release, child: Child) -> None:
    alone = Child(release, {**child.env, "LD_LIBRARY_PATH": ""}, child.place, child.words)
    outcome = alone("probe")
    assert not outcome.result.get("usable")
    assert "driver" in outcome.result["reason"]
    assert outcome.result["versions"] == {"tensorrt": release.version}
    assert not outcome.recording.calls


def test_what_is_usable_is_told_with_its_versions(release: Release, child: Child) -> None:
    found = child("probe", {"IBuilder.getNbDLACores": 2}).result
    assert found["devices"] == ["GPU", "dla:0", "dla:1"]
    assert found["versions"]["tensorrt"] == release.version
    assert found["versions"]["cuda"] == "12.6"


@ONE_RELEASE
def test_a_gpu_without_int8_is_told_before_a_network_is_made(build: Build) -> None:
    nano = {"driver.cuDeviceGetAttribute(75)": 5, "driver.cuDeviceGetAttribute(76)": 3}
    outcome = build(nano)
    assert "5.3" in outcome.error["problem"]
    assert "no INT8" in outcome.error["problem"]
    assert not outcome.recording.of("IBuilder.createNetworkV2")
    assert build(nano, precision="default").result["files"]


@ONE_RELEASE
def test_a_dla_that_is_not_there_and_layers_that_it_cannot_run_are_errors(build: Build) -> None:
    outcome = build(device="dla:0")
    assert outcome.error["class"] == "EnvironmentLacks"
    assert "no DLA cores" in outcome.error["problem"]
    outcome = build(MISFIT, device="dla:0")
    assert "scatter" in outcome.error["problem"]
    assert "allowGPUFallback" in outcome.error["hint"]
    assert not outcome.recording.of("IBuilder.buildSerializedNetwork")


@ONE_RELEASE
def test_shapes_that_the_library_refuses_and_shapes_for_a_dla_are_errors(build: Build) -> None:
    refused = {**FREE_BATCH, "IBuilderConfig.addOptimizationProfile": -1}
    outcome = build(refused, options=SHAPES)
    assert "shapes" in outcome.error["problem"]
    outcome = build({**FREE_BATCH, **MISFIT}, device="dla:0", options=SHAPES)
    assert "fixed shapes" in outcome.error["problem"]
