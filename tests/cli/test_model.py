"""``edgetl quantize`` of a model that was trained elsewhere, as its user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.cli.conftest import Run
from tests.quantize import graphs

HALF = ("--mean", "0.5", "--std", "0.5")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Float planes in, any number of them, with an operator that no scheme knows."""
    b = graphs.Builder(pixels=False)
    b.input = onnx.helper.make_tensor_value_info("planes", onnx.TensorProto.FLOAT, ["N", 3, 16, 16])
    b.first = "planes"
    return b.save(tmp_path / "model.onnx", b.conv(b.node("Elu", b.conv("planes", 3, 8)), 8, 8))


def arguments(model: Path, pictures: Path, *more: str) -> list[object]:
    return [
        "quantize",
        model,
        "--device",
        "intel-cpu",
        "--calib-data",
        pictures,
        "--calib-samples",
        "6",
        "-q",
        *more,
    ]


def test_it_asks_for_the_normalisation_then_says_what_stayed_in_float(
    run: Run, model: Path, pictures: Path, tmp_path: Path
) -> None:
    asked = run(*arguments(model, pictures))
    assert asked.code == 2
    assert "--mean 0.485,0.456,0.406" in asked.err
    assert not (tmp_path / "model.int8.onnx").exists()
    ran = run(*arguments(model, pictures, *HALF))
    assert ran.code == 0, ran.err
    assert "2 of 2 layers" in ran.out
    assert "1 Elu: openvino-cpu has no INT8 for them" in ran.out


def test_a_batch_is_fixed_on_request(run: Run, model: Path, pictures: Path, tmp_path: Path) -> None:
    ran = run(*arguments(model, pictures, *HALF, "--batch", "2", "--json"))
    assert ran.code == 0, ran.err
    dims = onnx.load(tmp_path / json.loads(ran.out)["out"]).graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [2, 3, 16, 16]


def test_statistics_of_a_fixed_batch_serve_the_same_batch(run: Run, model: Path, pictures: Path) -> None:
    fixed = ("--batch", "1")
    seen = run("calibrate", model, "--calib-data", pictures, "--calib-samples", "6", "-q", *HALF, *fixed)
    assert seen.code == 0, seen.err
    assert run("quantize", model, "--stats", "calibration", "--device", "intel-cpu", *fixed).code == 0
    other = run("quantize", model, "--stats", "calibration", "--device", "intel-cpu", "--batch", "2")
    assert other.code == 2
    assert "of another model" in other.err


def test_pixel_values_and_white_are_two_ways_of_one_normalisation(
    run: Run, model: Path, pictures: Path, tmp_path: Path
) -> None:
    made = []
    for ways in (HALF, ("--scale", "1", "--mean", "127.5", "--std", "127.5")):
        ran = run(*arguments(model, pictures, *ways))
        assert ran.code == 0, ran.err
        made.append((tmp_path / "model.int8.onnx").read_bytes())
    assert made[0] == made[1]


def test_copies_of_one_sample_are_warned_of(run: Run, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "arrays"
    folder.mkdir()
    for number in range(3):
        np.save(folder / f"{number}.npy", np.ones((1, 3, 16, 16), np.float32))
    ran = run("quantize", model, "--calib-data", folder, "-q")
    assert ran.code == 0
    assert "warning: all 3 samples are one" in ran.err


def test_a_quantized_model_is_refused_with_the_reason(run: Run, model: Path, pictures: Path) -> None:
    assert run(*arguments(model, pictures, *HALF)).code == 0
    again = run(*arguments(Path("model.int8.onnx"), pictures, *HALF, "--out", "twice.onnx"))
    assert again.code == 2
    assert "quantized already" in again.err


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--scale", "0"), "--scale '0'"),
        (("--size", "12by12"), "--size '12by12'"),
        (("--color", "grey"), "--color 'grey'"),
        (("--size", "32"), "has height 16 already"),
    ],
)
def test_a_value_that_makes_no_sense_is_named(
    option: tuple[str, str], words: str, run: Run, model: Path, pictures: Path
) -> None:
    ran = run(*arguments(model, pictures, *HALF, *option))
    assert ran.code == 2
    assert words in ran.err


def test_a_way_to_choose_samples_that_is_not_known_is_named(run: Run, model: Path, pictures: Path) -> None:
    ran = run(*arguments(model, pictures, *HALF, "--calib-select", "covrage"))
    assert ran.code == 2
    assert "Did you mean 'coverage'?" in ran.err


def test_pictures_that_are_held_out_or_there_twice_are_told(
    run: Run, model: Path, pictures: Path, tmp_path: Path
) -> None:
    chosen, held_out = tmp_path / "chosen", tmp_path / "held-out"
    some = sorted(pictures.rglob("*.png"))[:6]
    for folder, files in ((chosen, some), (held_out, some[:2])):
        folder.mkdir()
        for number, file in enumerate(files):
            (folder / f"{number}.png").write_bytes(file.read_bytes())
    asked = ("calibrate", model, "--calib-data", chosen, "--batch", "1", "-q", *HALF)
    assert "leakage" not in run(*asked).err
    ran = run(*asked, "--held-out", held_out, "--out", "again")
    assert ran.code == 0, ran.err
    assert "leakage: 2 of 6 pictures are held out, too" in ran.err
    (chosen / "6.png").write_bytes(some[0].read_bytes())
    again = run(*asked, "--out", "twice")
    assert "2 of 7 pictures look like another one of them" in again.err


def test_a_deviation_of_zero_is_refused(run: Run, model: Path, pictures: Path) -> None:
    ran = run(*arguments(model, pictures, "--std", "0"))
    assert ran.code == 2
    assert "--std 0,0,0 is not a standard deviation" in ran.err
