"""Commands on a bundle: what they print, for people and for programs, and how they end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import onnx
import pytest

from edgetl import digest
from edgetl.backends import seam
from edgetl.runtime import bundle as format_of
from edgetl.types import Engine
from tests import handmade
from tests.cli.conftest import Run
from tests.quantize.qdq import Net


def only(out: str) -> dict[str, Any]:
    """The one JSON object on standard output."""
    found: dict[str, Any] = json.loads(out)
    return found


def test_verify_passes_and_says_what_it_held_against_what(run: Run, bundle: Path, pictures: Path) -> None:
    told = run("verify", bundle, "--data", pictures)
    assert told.code == 0
    for words in ("files are what was built", "golden", "at the build 100.0 %", "worst class"):
        assert words in told.out
    assert told.err == ""


def test_verify_without_pictures_says_that_accuracy_was_not_measured(run: Run, bundle: Path) -> None:
    told = run("verify", bundle)
    assert told.code == 0
    assert "not measured: --data DIR" in told.out


def test_a_device_without_opencv_verifies_what_needs_no_pictures(bundle: Path, tmp_path: Path) -> None:
    program = "import sys; sys.modules['cv2'] = None; from edgetl.cli import main; sys.exit(main.main(sys.argv[1:]))"
    ran = subprocess.run(
        [sys.executable, "-c", program, "verify", bundle],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_a_failing_verify_ends_with_1_and_json_holds_the_reason(
    run: Run, bundle: Path, pictures: Path, tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(bundle, tmp_path / "broken"))
    flipped = msgspec.structs.replace(handmade.RULE, color="bgr")
    (broken / format_of.PREPROCESS).write_bytes(digest.canonical_json(flipped))
    handmade.reseal(broken)
    told = run("verify", broken, "--data", pictures)
    assert told.code == 1
    assert "the build measured 100.0 %: more than chance explains" in told.err
    assert "--diagnose" in told.err
    told = run("verify", broken, "--data", pictures, "--diagnose", "--json")
    assert told.code == 1
    assert "red and blue swapped" in only(told.out)["failure"]


def test_a_flipped_byte_ends_with_2_and_the_file_is_named(run: Run, bundle: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(bundle, tmp_path / "broken"))
    body = bytearray((broken / "engine/model.onnx").read_bytes())
    body[len(body) // 2] ^= 1
    (broken / "engine/model.onnx").write_bytes(body)
    for command in ("verify", "inspect", "bench"):
        told = run(command, broken)
        assert told.code == 2
        assert "engine/model.onnx is not the file that was written" in told.err


def test_an_engine_of_another_release_ends_with_4(run: Run, bundle: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(bundle, tmp_path / "other"))
    record = json.loads((other / format_of.ENGINE).read_bytes())
    record["built_with"] = {"onnxruntime": "0.1.0"}
    (other / format_of.ENGINE).write_bytes(digest.canonical_json(record))
    handmade.reseal(other)
    told = run("verify", other)
    assert told.code == 4
    assert "was built with onnxruntime 0.1.0" in told.err


def test_a_budget_that_cannot_be_proven_ends_with_3_where_strict(
    run: Run, bundle: Path, pictures: Path
) -> None:
    assert run("verify", bundle, "--data", pictures, "--max-drop", "0.1%").code == 0
    told = run("verify", bundle, "--data", pictures, "--max-drop", "0.1%", "--strict")
    assert told.code == 3
    assert "cannot prove it" in told.err


def test_a_pending_bundle_cannot_be_timed_or_opened(run: Run, pictures: Path, tmp_path: Path) -> None:
    waiting = format_of.Pending(reason="built on the board", next=("copy it there",))
    place = handmade.write_bundle(tmp_path / "pending", pictures, pending=waiting)
    for command in ("bench", "verify"):
        told = run(command, place)
        assert told.code == 5
        assert "no engine yet: built on the board" in told.err
    assert run("inspect", place).code == 0


def test_bench_prints_percentiles_and_the_host(run: Run, bundle: Path) -> None:
    told = run("bench", bundle, "--duration", "0.1", "--iterations", "64")
    assert told.code == 0
    for words in ("engine alone", "frame to result", "host", "governor", "versions"):
        assert words in told.out
    assert "engine" in told.err, "progress goes to standard error"
    assert run("bench", bundle, "--duration", "0.1", "--iterations", "11", "--quiet").err == ""


def test_bench_under_json_prints_one_object_and_nothing_else(run: Run, bundle: Path) -> None:
    told = run("bench", bundle, "--duration", "0.1", "--iterations", "11", "--json")
    found = only(told.out)
    assert told.err == ""
    assert set(found["latency_ms"]) == {"engine", "frame"}
    assert {"target", "engine", "context", "doubts", "measurements"} <= set(found)


def test_inspect_lists_files_layers_and_precisions(run: Run, bundle: Path) -> None:
    told = run("inspect", bundle, "--layers")
    assert told.code == 0
    for words in ("sha256", "model.fp32.onnx", "layers executed", "runs in", "f32"):
        assert words in told.out
    executed = only(run("inspect", bundle, "--json").out)["executed"]
    assert executed["layers"][0]["precision"]


def test_predict_names_the_colour(run: Run, bundle: Path, tmp_path: Path) -> None:
    for name in ("red", "blue"):
        bgr = np.ascontiguousarray(handmade.picture(name, 9)[..., ::-1])
        assert cv2.imwrite(str(tmp_path / f"{name}.png"), bgr)
    told = run("predict", bundle, tmp_path / "red.png", tmp_path / "blue.png", "--json")
    assert told.code == 0
    assert [row["label"] for row in only(told.out)["results"]] == ["red", "blue"]
    assert run("predict", bundle, tmp_path / "no.png").code == 2


def test_compile_writes_an_engine_folder(run: Run, bundle: Path, tmp_path: Path) -> None:
    told = run("compile", bundle / "model.fp32.onnx", "--out", tmp_path / "engine", "--json")
    assert told.code == 0
    assert only(told.out)["backend"] == "openvino"
    assert (tmp_path / "engine" / "engine.json").is_file()


def test_an_option_of_a_backend_is_refused_by_one_that_has_none(
    run: Run, bundle: Path, tmp_path: Path
) -> None:
    option = ("--backend-option", "memPoolSize=workspace:64")
    told = run("compile", bundle / "model.fp32.onnx", *option, "--out", tmp_path / "e")
    assert told.code == 2
    assert "memPoolSize" in told.err
    assert not (tmp_path / "e").exists()
    told = run(
        "compile", bundle / "model.fp32.onnx", "--backend-option", "memPoolSize", "--out", tmp_path / "e"
    )
    assert (told.code, "is not NAME=VALUE" in told.err) == (2, True)


def test_an_option_that_is_refused_leaves_a_bundle_as_it_was(run: Run, bundle: Path, tmp_path: Path) -> None:
    before = digest.of_tree(bundle)
    told = run("compile", bundle, "--device", "local", "--backend-option", "memPoolSize=workspace:64")
    assert (told.code, "memPoolSize" in told.err) == (2, True)
    assert digest.of_tree(bundle) == before


@pytest.mark.parametrize("command", ["verify", "bench", "inspect", "compile"])
def test_a_bundle_that_is_not_there_is_bad_input(run: Run, command: str) -> None:
    told = run(command, "runs/latest")
    assert told.code == 2
    assert told.err.startswith("error: ")


@pytest.mark.parametrize("option", [("--strict",), ("--max-drop", "1%")])
def test_a_judgement_without_pictures_is_refused(run: Run, bundle: Path, option: tuple[str, ...]) -> None:
    told = run("verify", bundle, *option)
    assert told.code == 2
    assert f"{option[0]} judges an accuracy, which takes --data" in told.err


def test_one_bad_picture_does_not_cost_the_others_their_answers(
    run: Run, bundle: Path, pictures: Path, tmp_path: Path
) -> None:
    good = next(pictures.rglob("*.png"))
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    told = run("predict", bundle, good, bad)
    assert told.code == 2
    assert told.out.startswith(f"{good}: ")
    assert "1 of 2 pictures cannot be read" in told.err
    rows = only(run("predict", bundle, good, bad, "--json").out)["results"]
    assert "label" in rows[0]
    assert "error" in rows[1]


@pytest.mark.parametrize(("precision", "words"), [("int8", "is a float model"), ("f32", "is quantized")])
def test_a_model_is_not_called_what_it_is_not(
    run: Run, precision: str, words: str, bundle: Path, tmp_path: Path
) -> None:
    if precision == "int8":
        model = bundle / "model.fp32.onnx"
    else:
        net = Net()
        model = net.save(tmp_path / "int8.onnx", net.conv(net.pair("x")))
    told = run("compile", model, "--precision", precision)
    assert told.code == 2
    assert words in told.err


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_model_with_weights_beside_it_is_compiled_whole(
    backend: str, run: Run, bundle: Path, tmp_path: Path
) -> None:
    whole = onnx.load(bundle / "model.fp32.onnx")
    model = tmp_path / "model.onnx"
    onnx.save(whole, model, save_as_external_data=True, location="model.data", size_threshold=0)
    (tmp_path / "box.yaml").write_text(f"devices: {{box: {{extends: local, backend: {backend}}}}}\n")
    told = run("compile", model, "--devices", "box.yaml", "--device", "box", "--precision", "f32")
    assert told.code == 0, told.err
    (tmp_path / "model.data").unlink()
    opened = seam.find(backend).open(
        msgspec.json.decode((tmp_path / "engine/engine.json").read_bytes(), type=Engine), tmp_path / "engine"
    )
    assert np.isfinite(opened.run({"input": np.zeros((1, 32, 32, 3), np.uint8)})["logits"]).all()
    opened.close()
    told = run("compile", model, "--device", "local")
    assert told.code == 2
    assert "model.data, which is missing" in told.err


def test_a_library_that_is_not_installed_is_lacking_and_the_extra_is_named(
    run: Run, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*given: object, **named: object) -> None:
        raise ModuleNotFoundError("No module named 'onnx'", name="onnx")

    monkeypatch.setattr("edgetl.bundles.inspect", lacking)
    told = run("inspect", bundle)
    assert told.code == 5
    assert "takes onnx, which is not installed" in told.err
    assert "pip install 'edgetl[" in told.err


def test_a_disk_that_refuses_is_no_bug(run: Run, bundle: Path) -> None:
    told = run("compile", bundle, "--out", "/proc/nowhere/engine")
    assert told.code == 5
    assert "Traceback" not in told.err


def test_timing_for_a_device_whose_backend_is_not_here_says_so(run: Run, bundle: Path) -> None:
    told = run("bench", bundle / "model.fp32.onnx", "--device", "jetson")
    assert told.code == 5
    assert "fake" not in told.err
    assert "TensorRT has no GPU on this host" in told.err


def test_corruptions_are_told_in_a_table_and_in_one_object(run: Run, bundle: Path, pictures: Path) -> None:
    asked = ("verify", bundle, "--data", pictures, "--corruptions", "fog,low_light", "--max-images", 14)
    told = run(*asked, "--severities", "1,5")
    assert told.code == 0
    for words in ("2 corruptions at severity 1,5 on 14 of 112 images", "mCE", "in low_light?", "costs more"):
        assert words in told.out
    found = only(run(*asked, "--severities", "1,5", "--json").out)["corruptions"]
    assert [(cell["corruption"], cell["severity"]) for cell in found["cells"]] == [
        ("fog", 1),
        ("fog", 5),
        ("low_light", 1),
        ("low_light", 5),
    ]
    assert len(only(run(*asked, "--json").out)["corruptions"]["cells"]) == 10


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--corruptions", "fgo"), "no corruption 'fgo'. Did you mean 'fog'?"),
        (("--corruptions", "fog", "--severities", "0"), "'0' is not one of 1 to 5"),
        (("--corruptions", "fog", "--severities", "6"), "'6' is not one of 1 to 5"),
        (("--severities", "3"), "--severities is an option of --corruptions"),
        (("--max-images", "9"), "--max-images is an option of --corruptions"),
    ],
)
def test_what_no_corruption_can_come_of_is_refused(
    run: Run, bundle: Path, pictures: Path, arguments: tuple[str, ...], words: str
) -> None:
    told = run("verify", bundle, "--data", pictures, *arguments)
    assert told.code == 2
    assert words in told.err


def test_corruptions_take_pictures(run: Run, bundle: Path) -> None:
    told = run("verify", bundle, "--corruptions", "fog")
    assert told.code == 2
    assert "--corruptions measures accuracy, which takes --data" in told.err
