"""Building: what each release is asked for, and what each of its failures becomes.

The vendor's module is the hand-made one of ``fake``; the genuine bindings are driven by the contract tests.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgetl.errors import BackendError, EnvironmentLacks, InputError

Vendor = Any

FREE = [["input", "UINT8", [-1, 32, 32, 3]]]
OPERATORS = [["Mystery", "head.0", "No importer registered for op: Mystery"], ["Conv", "c7", "bad axis"]]


def build(folder: Path, precision: str = "int8", **rest: Any) -> dict[str, Any]:
    """Build in this process."""
    from edgetl.backends.tensorrt.build import build_plan

    told = build_plan(str(folder / "model.onnx"), str(folder), precision, **rest)
    return json.loads(json.dumps(told))  # type: ignore[no-any-return] # as the child hands it over


@pytest.mark.parametrize(
    ("version", "network", "flags", "typing"),
    [
        ("8.6.1", 0b1, {"FP16", "INT8"}, "weak"),
        ("10.3.0", 0b01, {"FP16", "INT8"}, "weak"),
        ("10.12.0", 0b11, set(), "strong"),
        ("10.13.3.9", 0b11, set(), "strong"),
        ("11.4.0.106", 0, set(), "strong"),
    ],
)
def test_a_quantized_graph_is_typed_by_flags_before_10_12_and_by_itself_from_there(
    vendor: Vendor, tmp_path: Path, version: str, network: int, flags: set[str], typing: str
) -> None:
    trt = vendor(version=version)
    assert build(tmp_path)["typing"] == typing
    assert ["create_network", str(network)] in trt.calls
    assert {call[1] for call in trt.calls if call[0] == "set_flag"} == flags


@pytest.mark.parametrize("version", ["8.6.1", "10.3.0", "10.16.1", "11.4.0"])
def test_f32_is_not_tf32_in_any_release(vendor: Vendor, tmp_path: Path, version: str) -> None:
    trt = vendor(version=version)
    build(tmp_path, "f32")
    assert ["clear_flag", "TF32"] in trt.calls
    assert not [call for call in trt.calls if call[0] == "set_flag"]


@pytest.mark.parametrize(("version", "flags"), [("10.16.1", [["set_flag", "FP16"]]), ("11.4.0", [])])
def test_the_default_is_fp16_by_a_flag_where_there_is_one(
    vendor: Vendor, tmp_path: Path, version: str, flags: list[list[str]]
) -> None:
    trt = vendor(version=version)
    build(tmp_path, "default")
    assert [call for call in trt.calls if call[0] == "set_flag"] == flags


def test_the_plan_on_disk_is_the_builders_and_ports_are_the_networks(vendor: Vendor, tmp_path: Path) -> None:
    told = build(tmp_path)
    assert (tmp_path / "engine.plan").read_bytes().startswith(b"ftrt")
    assert told["inputs"] == [{"name": "input", "dtype": "uint8", "shape": [1, 32, 32, 3]}]
    assert told["outputs"] == [{"name": "logits", "dtype": "float32", "shape": [1, 5]}]


def test_options_reach_the_builder(vendor: Vendor, tmp_path: Path) -> None:
    trt = vendor(version="10.13.0", inputs=FREE)
    asked = {
        "memPoolSize": "workspace:256",
        "builderOptimizationLevel": 2,
        "versionCompatible": True,
        "hardwareCompatibilityLevel": "sameComputeCapability",
        "optShapes": "input:4x32x32x3",
        "maxShapes": "input:8x32x32x3",
    }
    told = build(tmp_path, options=asked)
    for call in (
        ["pool", "WORKSPACE", str(256 << 20)],
        ["set", "builder_optimization_level", "2"],
        ["set_flag", "VERSION_COMPATIBLE"],
        ["set", "hardware_compatibility_level", "HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY"],
        ["set_shape", "input", "(4, 32, 32, 3)", "(4, 32, 32, 3)", "(8, 32, 32, 3)"],
    ):
        assert call in trt.calls
    assert told["inputs"][0]["shape"] == [None, 32, 32, 3]


def test_a_compatibility_that_a_release_has_not_is_refused(vendor: Vendor, tmp_path: Path) -> None:
    vendor(version="10.3.0")
    with pytest.raises(EnvironmentLacks, match=r"TensorRT 10\.3\.0 has no .*sameComputeCapability"):
        build(tmp_path, options={"hardwareCompatibilityLevel": "sameComputeCapability"})


def test_shapes_that_the_library_refuses_are_an_error(vendor: Vendor, tmp_path: Path) -> None:
    vendor(inputs=FREE, profile_index=-1)
    with pytest.raises(BackendError, match="refuses the shapes"):
        build(tmp_path, options={"optShapes": "input:4x32x32x3"})


@pytest.mark.parametrize(
    ("version", "first"),
    [("10.3.0", "Mystery 'head.0'"), ("11.4.0", "Mystery 'head.0'"), ("8.6.1", "node 0")],
)
def test_what_the_parser_does_not_take_is_named_node_by_node(
    vendor: Vendor, tmp_path: Path, version: str, first: str
) -> None:
    vendor(version=version, parser=OPERATORS)
    with pytest.raises(BackendError, match=rf"does not take model\.onnx: {first}") as caught:
        build(tmp_path)
    assert "(and 1 more)" in caught.value.problem
    assert "no plugin" in caught.value.hint
    assert len(caught.value.facts["nodes"]) == 2  # type: ignore[arg-type]


def test_a_file_that_is_no_model_is_told_though_the_parser_names_no_node(
    vendor: Vendor, tmp_path: Path
) -> None:
    vendor(unreadable=True)
    with pytest.raises(BackendError, match="gives no reason"):
        build(tmp_path)


@pytest.mark.parametrize(
    ("severity", "words", "told", "mend"),
    [
        (
            "ERROR",
            "10: [optimizer.cpp::computeCosts::3869] Error Code 10: Internal Error (Could not find any"
            " implementation for node conv1.)",
            "Could not find any implementation for node conv1",
            "edgetl sensitivity",
        ),
        ("ERROR", "Error Code 2: OutOfMemory (no further information)", "OutOfMemory", "memPoolSize"),
        (
            "WARNING",
            "Tactic Device request: 543MB Available: 120MB. Device memory is insufficient to use tactic.",
            "543MB",
            "memPoolSize",
        ),
        (
            "ERROR",
            "1: [checkMacros.cpp::catchCudaError::203] Error Code 1: Cuda Runtime (odd)",
            "odd",
            "--debug",
        ),
    ],
)
def test_a_builder_that_answers_nothing_raises_with_what_it_said(
    vendor: Vendor, tmp_path: Path, severity: str, words: str, told: str, mend: str
) -> None:
    vendor(null="build", says={"build": [["INFO", "chatter"], [severity, words]]})
    with pytest.raises(BackendError) as caught:
        build(tmp_path)
    assert told in caught.value.problem
    assert "built no engine of model.onnx" in caught.value.problem
    assert "[" not in caught.value.problem
    assert mend in caught.value.hint
    assert len(caught.value.facts["vendor"]) == 1  # type: ignore[arg-type]
    assert not (tmp_path / "engine.plan").exists()


def test_an_error_is_told_before_a_warning_that_came_first(vendor: Vendor, tmp_path: Path) -> None:
    said = [["WARNING", "Tactic Device request: 9MB"], ["ERROR", "only activation types allowed as input"]]
    vendor(null="build", says={"build": said})
    with pytest.raises(BackendError, match="only activation types") as caught:
        build(tmp_path)
    assert "a bias is quantized" in caught.value.hint


def test_warnings_of_a_build_that_ends_are_no_error(vendor: Vendor, tmp_path: Path) -> None:
    vendor(says={"build": [["WARNING", "Tactic Device request: 543MB Available: 120MB"]]})
    assert build(tmp_path)["typing"] == "weak"


def test_a_builder_that_is_a_null_pointer_is_told_with_the_line_before_it(
    vendor: Vendor, tmp_path: Path
) -> None:
    words = "CUDA initialization failure with error: 35"
    vendor(null="builder", says={"builder": [["ERROR", words]]})
    with pytest.raises(BackendError, match=words) as caught:
        build(tmp_path)
    assert "update the driver" in caught.value.hint
    assert isinstance(caught.value.__cause__, TypeError)


def test_layers_that_a_dla_cannot_run_are_an_error_unless_the_gpu_may_have_them(
    vendor: Vendor, tmp_path: Path
) -> None:
    layers = [["conv", "CONVOLUTION"], ["resize", "CONVOLUTION"], ["weights", "CONSTANT"]]
    trt = vendor(dla_cores=2, layers=layers, not_on_dla=["resize", "weights"])
    with pytest.raises(BackendError, match="cannot run 1 of 3 layers: resize") as caught:
        build(tmp_path, dla=1)
    assert "allowGPUFallback" in caught.value.hint
    assert build(tmp_path, dla=1, options={"allowGPUFallback": True})["on_gpu"] == ["resize"]
    assert ["set", "DLA_core", "1"] in trt.calls
    assert ["set", "default_device_type", "DeviceType.DLA"] in trt.calls
    assert ["set_flag", "GPU_FALLBACK"] in trt.calls


def test_a_network_that_fits_a_dla_has_no_fallback(vendor: Vendor, tmp_path: Path) -> None:
    trt = vendor(dla_cores=1)
    assert build(tmp_path, dla=0, options={"allowGPUFallback": True})["on_gpu"] == []
    assert ["set_flag", "GPU_FALLBACK"] not in trt.calls


def test_a_dla_core_that_is_not_there_is_told(vendor: Vendor, tmp_path: Path) -> None:
    vendor(dla_cores=0)
    with pytest.raises(EnvironmentLacks, match="has no DLA cores"):
        build(tmp_path, dla=0)


def test_a_free_axis_is_nothing_for_a_dla(vendor: Vendor, tmp_path: Path) -> None:
    vendor(dla_cores=1, inputs=FREE)
    with pytest.raises(InputError, match="fixed shapes"):
        build(tmp_path, dla=0, options={"optShapes": "input:4x32x32x3"})
