"""Biases are corrected until every layer of the INT8 network answers on average what it answers in float."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from edgetl.quantize import bias, observe, place, schemes
from tests.quantize import graphs
from tests.quantize.graphs import Builder

PICTURES = list(graphs.pictures(8))


def network(path: Path) -> Path:
    """Convolutions, a depthwise one among them, and a classifier."""
    b = Builder()
    wide = b.node("Relu", b.conv(b.relu_conv(), 8, 16))
    deep = b.node("Relu", b.conv(b.node("Relu", b.conv(wide, 16, 16, group=16)), 16, 16, kernel=1))
    return b.save(path, b.gemm(b.node("Flatten", b.node("GlobalAveragePool", deep)), 16))


def quantized(model: Path, out: Path, *, kept: frozenset[str] = frozenset(), narrow: bool = False) -> Path:
    """In INT8, with ranges that clip a good part of every tensor."""
    stats = observe.observe(model, PICTURES)
    scheme = schemes.find("openvino-cpu")
    place.quantize(model, stats, scheme, "average", out, reduce_range=narrow, kept=kept)
    return out


def error(model: Path, found: Path) -> npt.NDArray[np.float64]:
    """The mean of each logit's error."""
    differences = graphs.answers(found, PICTURES).astype(np.float64) - graphs.answers(model, PICTURES)
    mean: npt.NDArray[np.float64] = np.abs(differences.mean(axis=0))
    return mean


@pytest.mark.parametrize("narrow", [False, True], ids=["linear", "linear as convolution"])
def test_the_mean_of_every_answer_comes_back(narrow: bool, tmp_path: Path) -> None:
    model = network(tmp_path / "float.onnx")
    int8 = quantized(model, tmp_path / "int8.onnx", narrow=narrow)
    before = error(model, int8)
    told: list[tuple[int, int]] = []
    shifts = bias.measure(model, int8, PICTURES, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 5) for done in range(1, 6)]
    bias.shift(int8, shifts)
    after = error(model, int8)
    assert before.max() > 1e-3
    assert after.max() < 1e-5


def test_what_is_measured_is_not_written_until_it_is_asked_for(tmp_path: Path) -> None:
    model = network(tmp_path / "float.onnx")
    int8 = quantized(model, tmp_path / "int8.onnx")
    before = int8.read_bytes()
    bias.measure(model, int8, PICTURES)
    assert int8.read_bytes() == before


def test_a_layer_that_is_in_float_by_now_keeps_its_bias(tmp_path: Path) -> None:
    model = network(tmp_path / "float.onnx")
    shifts = bias.measure(model, quantized(model, tmp_path / "int8.onnx"), PICTURES)
    last = next(name for name in shifts if name.startswith("gemm"))
    mixed = quantized(model, tmp_path / "mixed.onnx", kept=frozenset({last}))
    bias.shift(mixed, {last: shifts[last] + 100.0})
    assert error(model, mixed).max() < 1.0
    onnx.checker.check_model(onnx.load(mixed), full_check=True)
