"""Weights beside the model: read where they fit, left on the disk where they do not, and never lost on the way."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx.external_data_helper import set_external_data

from edgetl.errors import InputError
from edgetl.quantize import files, statistics
from edgetl.quantize import graph as reading
from edgetl.quantize.observe import observe
from edgetl.quantize.place import quantize
from edgetl.quantize.schemes import SCHEMES
from tests.quantize import graphs

SCHEME = SCHEMES["openvino-cpu"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with its weights in ``model.data``."""
    b = graphs.Builder()
    path = tmp_path / "model.onnx"
    whole = b.model(b.conv(b.relu_conv(16), 16, 16))
    onnx.save(whole, path, save_as_external_data=True, location="model.data", size_threshold=0)
    return path


def quantized(model: Path, out: Path) -> np.ndarray:
    """What the quantized model answers."""
    quantize(model, observe(model, graphs.pictures(4)), SCHEME, "minmax", out)
    return graphs.run(out, next(graphs.pictures(1)))


def test_weights_that_stay_outside_give_the_same_model(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = quantized(model, tmp_path / "whole.onnx")
    monkeypatch.setattr(files, "HELD", 6000)  # less than both convolutions have, more than their integers
    monkeypatch.setattr(files, "SMALL", 1000)
    outside = [t for t in reading.load(model).model.graph.initializer if files.is_outside(t)]
    assert outside
    assert np.array_equal(quantized(model, tmp_path / "outside.onnx"), whole)
    assert (tmp_path / "outside.onnx").read_bytes() == (tmp_path / "whole.onnx").read_bytes()


def test_what_does_not_fit_one_file_is_written_beside_it(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = quantized(model, tmp_path / "whole.onnx")
    monkeypatch.setattr(files, "HELD", 1000)
    monkeypatch.setattr(files, "SMALL", 100)
    place = tmp_path / "place"
    place.mkdir()
    assert np.array_equal(quantized(model, place / "int8.onnx"), whole)
    assert [path.name for path in files.parts(place / "int8.onnx")] == ["int8.onnx.data", "int8.onnx"]
    assert sorted(path.name for path in place.iterdir()) == ["int8.onnx", "int8.onnx.data"]
    assert (place / "int8.onnx").stat().st_size < (tmp_path / "whole.onnx").stat().st_size


def test_another_weight_beside_the_same_graph_is_another_model(model: Path, tmp_path: Path) -> None:
    stats = observe(model, graphs.pictures(2))
    (tmp_path / "stats").mkdir()
    statistics.save(stats, statistics.identity(model, {}, "d", [0, 1], "default"), tmp_path / "stats")
    statistics.load(tmp_path / "stats", model=model)
    data = tmp_path / "model.data"
    data.write_bytes(data.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(InputError, match="of another model"):
        statistics.load(tmp_path / "stats", model=model)


def test_a_data_file_that_is_not_whole_is_told(model: Path, tmp_path: Path) -> None:
    data = tmp_path / "model.data"
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(InputError, match=r"model\.data, which has 100"):
        files.read(model)


def test_weights_outside_of_the_models_folder_are_refused(model: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    proto = onnx.load(model, load_external_data=False)
    for tensor in proto.graph.initializer:
        tensor.external_data[0].value = "../model.data"
    (inner / "model.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(InputError, match="outside of its own folder"):
        files.read(inner / "model.onnx")


LAYERS, WIDTH = 24, 5000
"""2.4 GB of weights."""
LIMIT_KIB = 5 * 2**20
WORK = """
import sys
from pathlib import Path
from edgetl.quantize import observe, place, schemes
from tests.quantize import graphs
model, out = map(Path, sys.argv[1:])
seen = observe.observe(model, graphs.pictures(2), method="minmax")
print(place.quantize(model, seen, schemes.find("openvino-cpu"), "minmax", out).quantized)
"""


@pytest.mark.slow
def test_a_model_above_2_gb_is_quantized_in_bounded_memory(tmp_path: Path) -> None:
    b = graphs.Builder()
    flat = b.node("Flatten", b.node("GlobalAveragePool", b.relu_conv(8)))
    end = b.node("MatMul", flat, b.const(b.rng.normal(0, 0.3, (8, WIDTH))))
    block = b.rng.normal(0, WIDTH**-0.5, (WIDTH, WIDTH)).astype(np.float32)
    with (tmp_path / "model.data").open("wb") as data:
        for number in range(LAYERS):
            tensor = TensorProto(
                name=f"w{number}", data_type=TensorProto.FLOAT, dims=block.shape, raw_data=b""
            )
            set_external_data(tensor, "model.data", data.tell(), block.nbytes)
            tensor.ClearField("raw_data")
            data.write(block.tobytes())
            b.weights.append(tensor)
            end = b.node("MatMul", end, tensor.name)
    model = b.save(tmp_path / "model.onnx", end)
    assert (tmp_path / "model.data").stat().st_size > 2**31
    ran = subprocess.run(
        [sys.executable, "-c", WORK, str(model), str(tmp_path / "int8.onnx")],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert ran.stdout.strip() == str(LAYERS + 2), ran.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < LIMIT_KIB
