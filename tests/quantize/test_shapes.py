"""Open axes made fixed: the batch, or height and width, of a model that takes any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from edgetl.errors import InputError
from edgetl.quantize.shapes import fix_input
from tests.quantize import graphs

Dims = tuple[str | int, ...]


def write(path: Path, dims: Dims) -> Path:
    """A network whose input has these axes, a name for each that is open."""
    b = graphs.Builder(pixels=False)
    b.input = onnx.helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, dims)
    return b.save(path, b.gemm(b.node("Flatten", b.node("GlobalAveragePool", b.relu_conv(8))), 8))


def axes(path: Path) -> list[list[int]]:
    """Axes of the input and of the output."""
    graph = onnx.load(path).graph
    return [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in (graph.input[0], graph.output[0])]


@pytest.mark.parametrize("dims", [("N", 3, "H", "W"), (-1, 3, "H", "W")], ids=["named", "minus one"])
def test_open_axes_become_the_numbers_and_the_answers_stay(dims: Dims, tmp_path: Path) -> None:
    model = write(tmp_path / "model.onnx", dims)
    fix_input(model, tmp_path / "fixed.onnx", batch=2, size=(24, 16))
    assert axes(tmp_path / "fixed.onnx") == [[2, 3, 24, 16], [2, 5]]
    feed = np.random.default_rng(0).normal(size=(2, 3, 24, 16)).astype(np.float32)
    assert np.allclose(graphs.run(model, feed), graphs.run(tmp_path / "fixed.onnx", feed), atol=1e-6)


def test_what_was_not_asked_for_stays_open(tmp_path: Path) -> None:
    fix_input(write(tmp_path / "model.onnx", ("N", 3, "H", "W")), tmp_path / "fixed.onnx", batch=1, size=None)
    assert axes(tmp_path / "fixed.onnx")[0] == [1, 3, 0, 0]


@pytest.mark.parametrize(
    ("batch", "size", "words"), [(4, None, "batch 1 already"), (None, (16, 32), "width 16 already")]
)
def test_a_fixed_axis_cannot_be_made_another(
    batch: int | None, size: tuple[int, int] | None, words: str, tmp_path: Path
) -> None:
    model = write(tmp_path / "model.onnx", (1, 3, 16, 16))
    with pytest.raises(InputError, match=words):
        fix_input(model, tmp_path / "fixed.onnx", batch=batch, size=size)


def test_the_batch_is_set_wherever_its_name_stands(tmp_path: Path) -> None:
    """As in a recurrent network, whose state has its layers first."""
    b = graphs.Builder(pixels=False)
    b.input = onnx.helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, ("batch", 3, 16, 16))
    model = onnx.load(
        b.save(tmp_path / "m.onnx", b.gemm(b.node("Flatten", b.node("GlobalAveragePool", b.relu_conv(8))), 8))
    )
    model.graph.input.append(
        onnx.helper.make_tensor_value_info("state", onnx.TensorProto.FLOAT, (2, "batch", 128))
    )
    onnx.save(model, tmp_path / "model.onnx")
    fix_input(tmp_path / "model.onnx", tmp_path / "fixed.onnx", batch=1, size=None)
    found = onnx.load(tmp_path / "fixed.onnx").graph.input
    assert [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in found] == [
        [1, 3, 16, 16],
        [2, 1, 128],
    ]


def test_a_size_that_contradicts_the_network_is_told(tmp_path: Path) -> None:
    b = graphs.Builder(pixels=False)
    b.input = onnx.helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, (1, 3, "H", "W"))
    model = b.save(tmp_path / "model.onnx", b.gemm(b.node("Flatten", b.relu_conv(8)), 8 * 16 * 16))
    with pytest.raises(InputError, match="does not work with that shape"):
        fix_input(model, tmp_path / "fixed.onnx", batch=None, size=(8, 8))
    assert not (tmp_path / "fixed.onnx").exists()


def test_a_size_needs_one_picture_among_the_inputs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'input'"):
        fix_input(
            write(tmp_path / "model.onnx", (1, "C", "H", "W")), tmp_path / "f.onnx", batch=None, size=(8, 8)
        )
