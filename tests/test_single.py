"""The commands that do one stage at a time, chained as a user would type them."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from edgetl import devices, single
from edgetl.backends import seam
from edgetl.pipeline import Silent
from edgetl.sources import CalibrationSource, samples_of
from edgetl.verify.accuracy import snr_db
from tests.e2e.conftest import Ran, run_edgetl


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chain")


def told(home: Path, *arguments: object) -> Ran:
    ran = run_edgetl(*arguments, cwd=home, cache=home / "cache")
    assert ran.code == 0, ran.err
    assert "Warning" not in ran.err
    return ran


@pytest.fixture(scope="module")
def chain(home: Path) -> dict[str, Ran]:
    """Every command of the chain, run once."""
    commands = {
        "train": "train --data demo --model tiny --weights none --out ckpt",
        "export": "export ckpt",
        "calibrate": "calibrate model.onnx --calib-data demo --calib-samples 40",
        "quantize": "quantize model.onnx --stats calibration --device intel-cpu",
        "compile": "compile model.int8.onnx --device intel-cpu --precision int8 --out engine --json",
    }
    return {name: told(home, *words.split()) for name, words in commands.items()}


def test_the_chain_ends_with_an_int8_engine(chain: dict[str, Ran], home: Path) -> None:
    assert chain["compile"].data["precision"] == "int8"
    assert (home / "engine/engine.json").is_file()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("train", ["written to ckpt", "edgetl export ckpt"]),
        ("export", ["parity", "written to model.onnx", "edgetl quantize model.onnx"]),
        ("calibrate", ["40 images", "edgetl quantize model.onnx --stats calibration"]),
        ("quantize", ["written to model.int8.onnx", "edgetl compile model.int8.onnx"]),
    ],
)
def test_each_command_says_what_it_did_and_what_comes_next(
    chain: dict[str, Ran], name: str, words: list[str]
) -> None:
    for word in words:
        assert word in chain[name].out


def test_a_checkpoint_is_safetensors_and_json(chain: dict[str, Ran], home: Path) -> None:
    record = json.loads((home / "ckpt/checkpoint.json").read_text())
    assert record["method"] == "feature"
    assert len(record["classes"]) == 10
    assert (home / "ckpt/model.safetensors").is_file()
    assert not list((home / "ckpt").glob("*.pt*"))


def test_statistics_of_another_model_are_refused(chain: dict[str, Ran], home: Path) -> None:
    model = onnx.load(home / "model.onnx")
    weights = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weights.raw_data = weights.raw_data[::-1]
    onnx.save(model, home / "other.onnx")
    ran = run_edgetl("quantize", "other.onnx", "--stats", "calibration", cwd=home, cache=home / "cache")
    assert ran.code == 2
    assert "the statistics are of another" in ran.err
    assert not (home / "other.int8.onnx").exists()


def test_a_model_for_tensorrt_comes_with_a_strongly_typed_one(chain: dict[str, Ran], home: Path) -> None:
    ran = told(
        home, "quantize", "model.onnx", "--stats", "calibration", "--device", "jetson", "--out", "board.onnx"
    )
    assert "board.fp16.onnx: " in ran.out
    assert "nodes in FP16" in ran.out
    types = {tensor.data_type for tensor in onnx.load(home / "board.fp16.onnx").graph.initializer}
    assert onnx.TensorProto.FLOAT16 in types
    for name in ("board.onnx", "board.fp16.onnx"):
        assert "keeps the 31 rules" in told(home, "lint", name, "--target", "tensorrt").out


def test_a_changed_checkpoint_is_refused(chain: dict[str, Ran], home: Path) -> None:
    weights = home / "ckpt/model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    ran = run_edgetl("export", "ckpt", "--out", "bad.onnx", cwd=home, cache=home / "cache")
    weights.write_bytes(whole)
    assert ran.code == 2
    assert "not the file that was written" in ran.err
    assert not (home / "bad.onnx").exists()


def test_check_prints_counts_and_the_next_command(home: Path) -> None:
    ran = told(home, "check", "demo")
    assert "1797 images, 10 classes · no leakage" in ran.out
    assert "edgetl build --data demo" in ran.out


def test_a_folder_that_is_not_ours_is_never_replaced(home: Path, chain: dict[str, Ran]) -> None:
    (home / "mine").mkdir()
    (home / "mine/thesis.txt").write_text("precious")
    ran = run_edgetl(
        "calibrate", "model.onnx", "--calib-data", "demo", "--calib-samples", "3", "--out", "mine",
        cwd=home, cache=home / "cache",
    )  # fmt: skip
    assert ran.code == 2
    assert (home / "mine/thesis.txt").read_text() == "precious"
    assert sorted(p.name for p in (home / "mine").iterdir()) == ["thesis.txt"]


def test_a_checkpoint_takes_the_place_of_one_that_another_method_made(home: Path) -> None:
    command = "train --data demo --model tiny --weights none --imgsz 16 --epochs 1 --out again --method"
    told(home, *command.split(), "feature")
    assert (home / "again/head.npz").is_file()
    told(home, *command.split(), "full")
    assert sorted(file.name for file in (home / "again").iterdir()) == [
        "checkpoint.json",
        "model.safetensors",
        "samples.npy",
    ]
    (home / "again/thesis.txt").write_text("precious")
    ran = run_edgetl(*command.split(), "feature", cwd=home, cache=home / "cache")
    assert (ran.code, (home / "again/thesis.txt").read_text()) == (2, "precious")
    assert "thesis.txt" in ran.err


REAL = {
    "residual_block_dynbatch_opset11.onnx": single.Shape(batch=1),
    "ultraface_slim_320_opset9.onnx": single.Shape(),
    "yunet_2022mar_opset11.onnx": single.Shape(),
}
"""Files that other people's tools exported, with float planes as input."""


@pytest.mark.parametrize("name", REAL)
def test_a_model_that_was_trained_elsewhere_answers_as_it_did(
    name: str, shared: Path, tmp_path: Path
) -> None:
    model = shared / "data/onnx" / name
    pictures = CalibrationSource(
        data=str(shared / "data/det_pedestrians/images"),
        samples=12,
        seed=0,
        cache=tmp_path,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )
    out = tmp_path / "int8.onnx"
    found = single.quantize(
        model,
        pictures,
        None,
        "default",
        out,
        shape=REAL[name],
        device="intel-cpu",
        devices_file=None,
        progress=Silent(),
    )
    assert found["quantized"] == found["quantizable"]
    profile = devices.load().find("intel-cpu")
    answers = []
    for path, precision in ((model, "f32"), (out, "int8")):
        session = seam.find("openvino").trial(path, msgspec.structs.replace(profile, precision=precision))
        fed = samples_of(model, pictures).arrays
        taken = session.inputs[0].name
        rows = [session.run({taken: np.asarray(picture)}) for picture in fed]
        answers.append(np.concatenate([array.ravel() for row in rows for array in row.values()]))
        session.close()
    assert (snr_db(*answers) or 0.0) > 20.0
