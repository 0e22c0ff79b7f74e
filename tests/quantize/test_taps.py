"""Sums made inside the graph: the same as numpy's of the activations themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from edgetl.calibration.range_stats import COUNTED, look

from edgetl.errors import InputError
from edgetl.quantize import graph as reading
from edgetl.quantize.observe import observe, open_session
from edgetl.quantize.taps import Taps
from tests.quantize import graphs

CHANNELS = 32
PICTURES = [
    np.random.default_rng(seed).normal(size=(1, 3, graphs.SIDE, graphs.SIDE)).astype(np.float32)
    for seed in range(3)
]


def network(path: Path, *, opset: int = 17, overflow: bool = False) -> Path:
    """Two convolutions; what is between them is too large to come out whole."""
    b = graphs.Builder(pixels=False, opset=opset)
    inner = b.conv("input", 3, CHANNELS)
    inner = b.node("Exp", inner) if overflow else b.node("Relu", inner)
    return b.save(path, b.conv(inner, CHANNELS, 8))


def whole(model: Path, name: str, picture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The activation itself."""
    session, feed = open_session(reading.load(model), [name], model.name)
    found: npt.NDArray[np.float32] = session.run([name], {feed: picture})[0]
    return found


@pytest.mark.parametrize("opset", [13, 17, 18, 20])
def test_a_look_from_inside_the_graph_is_numpys_of_the_activation(opset: int, tmp_path: Path) -> None:
    model = network(tmp_path / "model.onnx", opset=opset)
    graph = reading.load(model)
    name = next(node.output[0] for node in graph.model.graph.node if node.op_type == "Relu")
    taps = Taps(graph, {name: graph.shape(name)}, ranged={name}, tokens=frozenset())
    assert name not in taps.outputs, "it would have come out whole"
    session, feed = open_session(graph, taps.outputs, model.name)
    for picture in PICTURES:
        found = taps.looks(dict(zip(taps.outputs, session.run(taps.outputs, {feed: picture}), strict=True)))[
            name
        ]
        activation = whole(model, name, picture)
        wanted = look(activation)
        assert found.seen is not None
        assert found.seen.size == wanted.size == activation.size > COUNTED
        for one, other in zip(found.seen[:3], wanted[:3], strict=True):
            assert np.array_equal(one, other)
        assert np.allclose(found.means, activation.mean(axis=(0, 2, 3)), rtol=1e-5, atol=1e-7)
        assert found.size == (graphs.SIDE, graphs.SIDE)


def test_a_shape_that_onnx_cannot_tell_changes_nothing(tmp_path: Path) -> None:
    known = network(tmp_path / "model.onnx")
    proto = onnx.load(known)
    for axis, size in ((0, "batch"), (2, "height"), (3, "width")):
        proto.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = size
    dynamic = tmp_path / "dynamic.onnx"
    onnx.save(proto, dynamic)
    one, other = observe(known, PICTURES), observe(dynamic, PICTURES)
    assert one.ranges.keys() == other.ranges.keys()
    for name, stats in one.ranges.items():
        left, right = stats.to_arrays(), other.ranges[name].to_arrays()
        assert all(np.array_equal(left[key], right[key]) for key in left)
    for name, means in one.means.items():
        assert np.allclose(means, other.means[name], rtol=1e-5, atol=1e-7)


def test_infinity_inside_a_large_activation_is_named(tmp_path: Path) -> None:
    model = network(tmp_path / "model.onnx", overflow=True)
    hot = np.zeros_like(PICTURES[0])
    hot[0, :, 3, 3] = 1e4  # one pixel among many
    with pytest.raises(InputError, match="sample 2") as caught:
        observe(model, [*PICTURES[:2], hot])
    assert str(caught.value.facts["tensor"]).startswith("exp")


def test_nan_that_a_relu_would_hide_is_named(tmp_path: Path) -> None:
    model = network(tmp_path / "model.onnx")
    bad = PICTURES[0].copy()
    bad[0, 1, 5, 5] = np.nan
    with pytest.raises(InputError, match="sample 1"):
        observe(model, [PICTURES[1], bad])
