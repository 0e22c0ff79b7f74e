"""The inspector's JSON, in the forms that it has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgetl.backends.tensorrt import inspector


def row(name: str, kind: str, reads: str, writes: str, **more: Any) -> dict[str, Any]:
    """A layer as the inspector describes it."""
    return {
        "Name": name,
        "LayerType": kind,
        "Inputs": [{"Name": "a", "Dimensions": [1, 32, 8, 8], "Format/Datatype": reads}],
        "Outputs": [{"Name": "b", "Dimensions": [1, 32, 8, 8], "Format/Datatype": writes}],
        **more,
    }


def test_layers_have_precision_time_kernel_and_origin() -> None:
    conv = row(
        "conv1 + relu",
        "CaskConvolution",
        "Thirty-two wide channel vectorized row major Int8 format",
        "Channel major FP16 format where channel % 8 == 0",
        TacticName="sm80_xmma_fprop",
        Metadata="[ONNX Layer: conv1]\x1e[ONNX Layer: relu]",
    )
    reformat = row("Reformatting CopyNode", "Reformat", "Row major linear FP32", "Int8")
    found = inspector.layers(json.dumps({"Layers": [conv, reformat]}), {"conv1 + relu": 0.25})
    assert (found[0].precision, found[0].microseconds, found[0].kernel) == ("i8", 250.0, "sm80_xmma_fprop")
    assert found[0].origin == "conv1, relu"
    assert (found[1].kind, found[1].precision, found[1].microseconds) == ("Reorder", "f32", None)


@pytest.mark.parametrize(
    ("told", "precision"),
    [
        ("Int8 NC/32HW32", "i8"),
        ("Half NHWC", "f16"),
        ("FP16", "f16"),
        ("BF16", "bf16"),
        ("Float", "f32"),
        ("FP8", "f8"),
        ("Int32", "unknown"),
    ],
)
def test_every_spelling_of_a_type_is_known(told: str, precision: str) -> None:
    found = inspector.layers(json.dumps({"Layers": [row("x", "gemm", told, told)]}), {})
    assert found[0].precision == precision


def test_an_engine_that_was_built_without_details_has_names_only() -> None:
    found = inspector.layers(json.dumps({"Layers": ["conv1", "fc"], "Bindings": ["input"]}), {"fc": 1.0})
    assert [(layer.name, layer.precision, layer.microseconds) for layer in found] == [
        ("conv1", "unknown", None),
        ("fc", "unknown", 1000.0),
    ]
