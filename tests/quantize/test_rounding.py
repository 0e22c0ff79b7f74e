"""Layers rounded by what they answer: the whole network is closer to the float one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgetl.quantize import graph as reading
from edgetl.quantize import place
from edgetl.quantize.observe import observe
from edgetl.quantize.reads import layers_of
from edgetl.quantize.rounding import round_layers
from edgetl.quantize.schemes import SCHEMES, Scheme
from tests.quantize import graphs

CPU = SCHEMES["openvino-cpu"]
NARROW = msgspec.structs.replace(CPU, reduce_range=True)
PICTURES = list(graphs.pictures(24))


def snr(model: Path, other: Path) -> float:
    reference, found = (
        np.concatenate([graphs.run(m, p) for p in graphs.pictures(8, seed=1)]) for m in (model, other)
    )
    return graphs.snr_db(reference, found)


@pytest.mark.parametrize("scheme", [CPU, NARROW, SCHEMES["tensorrt"]], ids=["cpu", "narrow", "tensorrt"])
@pytest.mark.parametrize("case", ["residual", "depthwise-clip", "dense"])
def test_a_network_is_closer_to_the_float_one(case: str, scheme: Scheme, tmp_path: Path) -> None:
    """With float activations nothing but the rounding of weights is left of the error."""
    model = graphs.write(case, tmp_path)
    stats = observe(model, PICTURES)
    rounded = round_layers(model, PICTURES, scheme)
    for name, integers in (("nearest", {}), ("rounded", rounded)):
        place.quantize(model, stats, scheme, "minmax", tmp_path / f"{name}.onnx", rounded=integers)
    assert snr(model, tmp_path / "rounded.onnx") > snr(model, tmp_path / "nearest.onnx") - 0.3


def test_a_network_that_does_not_fit_the_memory_is_gone_over_in_parts(tmp_path: Path) -> None:
    model = graphs.write("dense", tmp_path)
    told: list[tuple[int, int]] = []
    whole = round_layers(model, PICTURES[:4], CPU)
    parts = round_layers(model, PICTURES[:4], CPU, memory=1, on_progress=lambda *done: told.append(done))
    assert whole.keys() == parts.keys()
    layers = len(layers_of(reading.load(model)))
    assert told[-1] == (layers * 5, layers * 5), "each layer is a part: four pictures and its rounding"


def test_layers_that_stay_in_float_are_not_rounded(tmp_path: Path) -> None:
    model = graphs.write("gemm", tmp_path)
    only = msgspec.structs.replace(CPU, weighted=("Conv",))
    assert len(round_layers(model, PICTURES[:2], CPU)) == 2
    assert len(round_layers(model, PICTURES[:2], only)) == 1


def test_linear_layers_written_as_convolutions_take_the_same_integers(tmp_path: Path) -> None:
    model = graphs.write("gemm", tmp_path)
    rounded = round_layers(model, PICTURES, NARROW)
    stats = observe(model, PICTURES)
    place.quantize(model, stats, NARROW, "minmax", tmp_path / "int8.onnx", rounded=rounded)
    assert snr(model, tmp_path / "int8.onnx") > 25.0
