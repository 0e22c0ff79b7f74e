"""What calibration feeds: pictures as a float model wants them and never guessed, or arrays as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from edgetl.errors import InputError
from edgetl.quantize import observe
from edgetl.sources import CalibrationSource, samples_of
from tests.quantize import graphs

HALF = (0.5, 0.5, 0.5)
RGB = (200, 100, 50)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two pictures, each of one colour."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, color in enumerate((RGB, RGB[::-1])):
        assert cv2.imwrite(str(folder / f"{number}.png"), np.full((20, 20, 3), color[::-1], np.uint8))
    return folder


@pytest.fixture
def floats(tmp_path: Path) -> Path:
    """A network that takes float planes."""
    b = graphs.Builder(pixels=False)
    return b.save(tmp_path / "floats.onnx", b.conv(b.relu_conv(), 8, 8))


def source(data: Path, **options: Any) -> CalibrationSource:
    return CalibrationSource(data=str(data), samples=10, seed=0, cache=data / "cache", **options)


@pytest.mark.parametrize(("color", "expected"), [("rgb", RGB), ("bgr", RGB[::-1])])
def test_a_float_model_gets_normalised_planes_in_its_channel_order(
    color: Any, expected: tuple[int, ...], pictures: Path, floats: Path
) -> None:
    samples = samples_of(floats, source(pictures, mean=HALF, std=HALF, color=color))
    first = next(samples.arrays)
    assert isinstance(first, np.ndarray)
    assert first.shape == (1, 3, graphs.SIDE, graphs.SIDE)
    assert first.dtype == np.float32
    assert np.allclose(first[0, :, 0, 0], np.array(expected) / 127.5 - 1, atol=1e-6)


def test_mean_and_std_are_of_red_green_and_blue_whatever_the_order(pictures: Path, floats: Path) -> None:
    samples = samples_of(floats, source(pictures, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0), color="bgr"))
    red, green, blue = (np.array(RGB) / 255 - [0.1, 0.2, 0.3]) / [1.0, 2.0, 3.0]
    first = next(samples.arrays)
    assert isinstance(first, np.ndarray)
    assert np.allclose(first[0, :, 0, 0], [blue, green, red], atol=1e-6)


def test_a_normalisation_that_was_not_told_is_asked_for(pictures: Path, floats: Path) -> None:
    with pytest.raises(InputError, match=r"how pixels are normalised .* is not in the file") as caught:
        samples_of(floats, source(pictures))
    assert "--mean" in caught.value.hint


def test_a_normalisation_that_is_inside_already_is_refused(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="its normalisation is inside"):
        samples_of(graphs.write("gemm", tmp_path), source(pictures, mean=HALF))


@pytest.mark.parametrize(
    ("dims", "words", "hint"),
    [
        ((1, 3, "H", "W"), "not fixed", "--size"),
        ((1, 1, 16, 16), "is no picture", ".npy"),
        ((1, 300), "is no picture", ".npy"),
    ],
    ids=["any size", "one channel", "no picture"],
)
def test_an_input_that_pictures_do_not_fit_says_what_does(
    dims: tuple[Any, ...], words: str, hint: str, pictures: Path, tmp_path: Path
) -> None:
    b = graphs.Builder(pixels=False)
    b.input = onnx.helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, dims)
    channels = dims[1]
    out = b.gemm("input", 300) if len(dims) == 2 else b.conv("input", int(channels), 4)
    with pytest.raises(InputError, match=words) as caught:
        samples_of(b.save(tmp_path / "model.onnx", out), source(pictures, mean=HALF))
    assert hint in caught.value.hint


def two_inputs(path: Path) -> Path:
    """A network of a picture and a row."""
    b = graphs.Builder(pixels=False)
    picture = b.node("Flatten", b.node("GlobalAveragePool", b.relu_conv(8)))
    model = b.model(b.gemm(b.node("Add", picture, "row"), 8))
    model.graph.input.append(onnx.helper.make_tensor_value_info("row", onnx.TensorProto.FLOAT, [1, 8]))
    onnx.save(model, path)
    return path


def test_several_inputs_are_named_and_arrays_fill_them(pictures: Path, tmp_path: Path) -> None:
    model = two_inputs(tmp_path / "model.onnx")
    with pytest.raises(InputError, match=r"2 inputs \(input .*, row ") as caught:
        samples_of(model, source(pictures, mean=HALF))
    assert ".npz" in caught.value.hint
    arrays = tmp_path / "arrays"
    arrays.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        np.savez(
            arrays / f"{number}.npz",
            input=rng.normal(size=(1, 3, 16, 16)).astype(np.float32),
            row=rng.normal(size=(1, 8)).astype(np.float32),
        )
    samples = samples_of(model, source(arrays))
    assert (samples.count, samples.kind) == (3, "arrays")
    assert observe.observe(model, samples.arrays).ranges


def test_an_array_for_one_of_several_inputs_says_what_is_missing(tmp_path: Path) -> None:
    model = two_inputs(tmp_path / "model.onnx")
    np.save(tmp_path / "one.npy", np.zeros((1, 3, 16, 16), np.float32))
    with pytest.raises(InputError, match=r"the model takes .*'row'"):
        observe.observe(model, samples_of(model, source(tmp_path / "one.npy")).arrays)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_array_with_nan_or_infinity_is_named(bad: float, floats: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "bad.npy", np.full((1, 3, 16, 16), bad, np.float32))
    with pytest.raises(InputError, match=r"bad\.npy holds NaN or infinity"):
        list(samples_of(floats, source(tmp_path / "bad.npy")).arrays)


def test_a_file_that_is_no_array_is_named(floats: Path, tmp_path: Path) -> None:
    (tmp_path / "text.npy").write_text("no array")
    with pytest.raises(InputError, match=r"text\.npy cannot be read"):
        list(samples_of(floats, source(tmp_path / "text.npy")).arrays)


def test_an_empty_folder_says_what_is_taken(floats: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures to calibrate with"):
        list(samples_of(floats, source(tmp_path / "empty", mean=HALF)).arrays)


def test_fewer_pictures_than_a_batch_are_taken_again_to_fill_it(pictures: Path, tmp_path: Path) -> None:
    b = graphs.Builder(pixels=False)
    b.input = onnx.helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [8, 3, 16, 16])
    model = b.save(tmp_path / "model.onnx", b.conv(b.relu_conv(), 8, 8))
    seen = observe.observe(model, samples_of(model, source(pictures, mean=HALF, std=HALF)).arrays)
    low, high = seen.ranges["input"].low, seen.ranges["input"].high
    assert (low, high) == pytest.approx((50 / 127.5 - 1, 200 / 127.5 - 1))


def test_coverage_takes_the_sample_that_is_far_from_all_others(floats: Path, tmp_path: Path) -> None:
    arrays = tmp_path / "arrays"
    arrays.mkdir()
    rng = np.random.default_rng(0)
    for number in range(8):
        far = 30.0 if number == 6 else 0.0
        np.save(arrays / f"{number}.npy", (far + rng.normal(size=(1, 3, 16, 16))).astype(np.float32))
    looked = []
    chosen = samples_of(
        floats,
        CalibrationSource(data=str(arrays), samples=2, seed=0, cache=tmp_path, select="coverage"),
        on_choosing=lambda done, total: looked.append((done, total)),
    )
    assert chosen.drawn[1] == 6
    assert [path.name for path in chosen.paths][1] == "6.npy"
    assert len(list(chosen.arrays)) == 2
    assert looked[-1] == (8, 8)
