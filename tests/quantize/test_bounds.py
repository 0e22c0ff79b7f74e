"""A bound holds for every picture, those that calibration never saw included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgetl.quantize import graph, place
from edgetl.quantize.bounds import MARGIN, magnitudes
from edgetl.quantize.observe import answers, observe, open_session
from edgetl.quantize.schemes import SCHEMES
from tests.quantize import graphs


def strange_pictures() -> list[graphs.Array]:
    """Black, white, a chessboard and noise: nothing of the kind was calibrated with."""
    shape = (1, graphs.SIDE, graphs.SIDE, 3)
    chess = (np.indices(shape).sum(axis=0) % 2 * 255).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    return [np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), chess, noise]


@pytest.mark.parametrize("case", graphs.CASES)
@pytest.mark.parametrize("scheme", ["tensorrt", "openvino-cpu"])
def test_no_tensor_of_a_quantized_graph_exceeds_its_bound(case: str, scheme: str, tmp_path: Path) -> None:
    model, out = graphs.write(case, tmp_path), tmp_path / "int8.onnx"
    place.quantize(model, observe(model, graphs.pictures(4)), SCHEMES[scheme], "default", out)
    read = graph.read(out)
    bounds = magnitudes(read, {})
    session, feed = open_session(read, sorted(read.floats), "model")
    for _, found in answers(session, feed, strange_pictures()):
        for name, array in found.items():
            assert np.abs(array).max() <= bounds[name] * (1 + 1e-5), name


def test_what_was_observed_bounds_where_arithmetic_cannot(tmp_path: Path) -> None:
    b = graphs.Builder()
    source = b.relu_conv()
    root = b.node("Div", source, b.node("Add", source, b.const(1.0)))
    model = b.save(tmp_path / "model.onnx", b.conv(root, 8, 8))
    read = graph.load(model)
    assert magnitudes(read, {})[root] == np.inf
    ranges = observe(model, graphs.pictures(4)).ranges
    assert magnitudes(read, ranges)[root] == pytest.approx(MARGIN * ranges[root].high)


def test_a_normalisation_is_followed(tmp_path: Path) -> None:
    b = graphs.Builder()
    constants = (np.full(3, 2.0), np.full(3, 0.5), np.full(3, 1.0), np.full(3, 4.0))
    norm = b.node("BatchNormalization", b.first, *(b.const(value) for value in constants))
    read = graph.load(b.save(tmp_path / "model.onnx", b.conv(norm, 3, 8)))
    bounds = magnitudes(read, {})
    assert bounds[norm] == pytest.approx((bounds[b.first] + 1.0) + 0.5, rel=1e-4)
