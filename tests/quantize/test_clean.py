"""What is quantized breaks no rule of its target: files of other people's tools, and known networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from edgetl.export import export_classifier
from edgetl.quantize import half, lint, observe, place, schemes, shapes
from edgetl.quantize.observe import Sample
from edgetl.transfer import backbone
from edgetl.types import BuildSpec

TARGETS = {"openvino-cpu": "openvino", "tensorrt": "tensorrt", "tensorrt-dla": "tensorrt-dla"}
"""A scheme, and whose rules it is for."""

FREE = {"sequence": 512}
"""Axes that cannot be 1."""

FOREIGN = (
    "external_data/ext_weights.onnx",
    "residual_block_dynbatch_opset11.onnx",
    "silero_vad_16k_if_opset15.onnx",
    "tinyvit_demo_opset20.onnx",
    "ultraface_slim_320_opset9.onnx",
    "yunet_2022mar_opset11.onnx",
)
NETWORKS = (
    "tiny",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in (
            "efficientnet_b0",
            "mnasnet1_0",
            "mobilenet_v2",
            "mobilenet_v3_small",
            "regnet_y_400mf",
            "resnet18",
            "shufflenet_v2_x1_0",
            "squeezenet1_1",
        )
    ),
)


def noise(value: onnx.ValueInfoProto, rng: np.random.Generator) -> npt.NDArray[Any]:
    """What an input takes, of values that a normalised picture has."""
    kind = value.type.tensor_type
    shape = [axis.dim_value if axis.dim_value > 0 else FREE.get(axis.dim_param, 1) for axis in kind.shape.dim]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    if dtype == np.int64:
        return np.full(shape, 16000)
    if dtype == np.uint8:
        return rng.integers(0, 256, shape, dtype=np.uint8)
    return rng.standard_normal(shape).astype(dtype)


def samples_of(model: Path) -> list[Sample]:
    """Three runs' inputs."""
    graph = onnx.load(model, load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    rng = np.random.default_rng(0)
    inputs = [value for value in graph.input if value.name not in constants]
    return [{value.name: noise(value, rng) for value in inputs} for _ in range(3)]


def broken_rules(model: Path, folder: Path) -> list[str]:
    """What the linter has against a model as each scheme quantizes it, its strongly typed form included."""
    seen = observe.observe(model, samples_of(model))
    found = []
    for scheme, target in TARGETS.items():
        out = folder / f"{scheme}.onnx"
        place.quantize(model, seen, schemes.find(scheme), "default", out)
        made = [out]
        if target == "tensorrt":
            made.append(folder / "typed.onnx")
            half.write_half(out, seen.ranges, made[-1])
        found += [
            f"{path.name}: {one.rule.number} {one.node} {one.problem}"
            for path in made
            for one in lint.lint(path, target)
            if one.rule.level == "error"
        ]
    return found


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_of_another_tool_is_clean_for_every_target(name: str, shared: Path, tmp_path: Path) -> None:
    fixed = tmp_path / "fixed.onnx"
    shapes.fix_input(shared / "data/onnx" / name, fixed, batch=1, size=None)
    assert broken_rules(fixed, tmp_path) == []


def test_real_weights_are_clean_for_every_target(shared: Path, tmp_path: Path) -> None:
    assert broken_rules(shared / "data/weights/mobilenet_v1_075_imagenet.onnx", tmp_path) == []


@pytest.mark.parametrize("name", NETWORKS)
def test_a_known_network_is_clean_for_every_target(name: str, tmp_path: Path) -> None:
    spec = BuildSpec(data="demo", model=name, device="intel-cpu", weights="none")
    made = backbone.create(spec, 10)
    model = tmp_path / "float.onnx"
    export_classifier(made.net.eval(), made.preprocess, model)
    assert broken_rules(model, tmp_path) == []
