"""``verify --corruptions`` on bundles, one of them with an INT8 model that is planted worse under noise."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper, numpy_helper

from edgetl import proving, robust
from edgetl.bundles import Answer
from edgetl.errors import EnvironmentLacks, InputError
from edgetl.runtime import bundle as format_of
from edgetl.verify.robustness import question
from tests import handmade, reported

NOISY = 0.03
"""Variance of a pixel, white is 1.0: pictures have 0.01, those with gaussian noise of severity 3 have 0.04."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Colourful pictures in class folders."""
    return handmade.write_pictures(tmp_path_factory.mktemp("colours"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A bundle that is right; on ONNX Runtime, which compiles in no time."""
    return handmade.write_bundle(tmp_path_factory.mktemp("whole") / "bundle", data, backend="onnxruntime")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, whole: Path) -> Path:
    """The bundle with an INT8 model that calls everything blue once a picture is noisy."""
    folder = Path(shutil.copytree(whole, tmp_path_factory.mktemp("planted") / "bundle"))
    model = onnx.load(folder / "model.fp32.onnx")
    graph = model.graph
    steps: tuple[tuple[str, list[str], dict[str, Any]], ...] = (
        ("ReduceMean", ["floats", "pixels"], {"keepdims": 1}),
        ("Sub", ["floats", "centre"], {}),
        ("Mul", ["off", "off"], {}),
        ("ReduceMean", ["square", "all"], {"keepdims": 0}),
        ("Sub", ["variance", "limit"], {}),
        ("Relu", ["beyond"], {}),
        ("Mul", ["noisy", "blue"], {}),
        ("Add", ["plain", "wrong"], {}),
    )
    outputs = ("centre", "off", "square", "variance", "beyond", "noisy", "wrong", "logits")
    graph.node[-1].output[0] = "plain"
    for (kind, inputs, attributes), output in zip(steps, outputs):
        graph.node.append(helper.make_node(kind, inputs, [output], **attributes))
    constants: dict[str, npt.NDArray[Any]] = {
        "pixels": np.array([1, 2], np.int64),
        "all": np.array([1, 2, 3], np.int64),
        "limit": np.array(NOISY * 255**2, np.float32),
        "blue": np.array([[1e3, 0, 0, 0, 0, 0, 0]], np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in constants.items())
    onnx.save(model, folder / "model.int8.onnx")
    return handmade.reseal(folder)


def verify(place: Path, data: Path | None, order: robust.Order) -> Answer:
    return proving.verify(
        place,
        data=None if data is None else str(data),
        max_drop=None,
        diagnose=False,
        strict=False,
        demo_folder=Path("unused"),
        on_note=lambda text: None,
        corruptions=order,
    )


def order(names: str, *, out: Path | None = None, picture: Path | None = None) -> robust.Order:
    return robust.Order(question(names, "1,3,5", 56, 0), out=out, picture=picture)


def test_an_int8_engine_that_fails_in_noise_is_told_and_the_clean_accuracy_hides_it(
    planted: Path, data: Path, tmp_path: Path
) -> None:
    out, picture = tmp_path / "hard.json", tmp_path / "hard.svg"
    found = verify(planted, data, order("gaussian_noise,zoom_blur,low_light", out=out, picture=picture))
    told = found.data["corruptions"]
    assert found.failure is None, "the answer of verify is that of clean images"
    assert told["candidate"] == "int8" and told["reference"] == "f32"
    assert told["clean"]["drop_pt"] == 0
    assert told["costs_more"] == ("gaussian_noise",)
    assert told["costs"][0]["corruption"] == "gaussian_noise" and told["costs"][0]["extra_ci95_pt"][0] > 20
    text = "\n".join(found.lines)
    assert "costs more gaussian_noise" in text
    assert "does quantization cost more in low_light? not shown" in text
    assert "56 of 112 images" in text
    assert msgspec.to_builtins(robust.read(out)) == told
    assert (
        "int8 loses more than on clean images in gaussian noise"
        in ET.parse(picture).getroot().attrib["aria-label"]
    )


def test_the_same_engine_is_not_told(whole: Path, data: Path) -> None:
    """The bundle has no INT8 model: what ships, at the default precision, is held against f32."""
    told = verify(whole, data, order("gaussian_noise,fog")).data["corruptions"]
    assert told["candidate"] == "default"
    assert told["costs_more"] == ()
    assert all(cell["drop_pt"] == 0 for cell in told["cells"])


def test_two_runs_give_the_same_bytes(planted: Path, data: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        verify(planted, data, order("rain,shot_noise", out=tmp_path / f"{name}.json"))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_pending_bundle_has_nothing_to_measure(tmp_path: Path, data: Path) -> None:
    pending = format_of.Pending(reason="no Jetson here", next=("edgetl compile",))
    place = handmade.write_bundle(tmp_path / "pending", data, backend="onnxruntime", pending=pending)
    with pytest.raises(EnvironmentLacks, match="no engine yet: no Jetson here"):
        verify(place, data, order("fog"))


def test_a_bundle_of_another_task_is_refused(whole: Path, data: Path, tmp_path: Path) -> None:
    text = reported.rename(Path(shutil.copytree(whole, tmp_path / "text")), task="text")
    with pytest.raises(InputError, match="this bundle is for the task 'text'"):
        verify(text, data, order("fog"))


@pytest.mark.parametrize("name", ["gone.json", "hard.json"])
def test_what_is_no_such_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "hard.json").write_text(json.dumps({"kind": "edgetl result"}))
    with pytest.raises(InputError, match=name) as caught:
        robust.read(tmp_path / name)
    assert "--corruptions all --out" in caught.value.hint


def test_places_that_cannot_be_written_are_refused_before_anything_is_measured(
    whole: Path, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"hard\.txt is not a JSON file"):
        verify(whole, data, order("fog", out=tmp_path / "hard.txt"))
    with pytest.raises(InputError, match="is not an SVG file"):
        verify(whole, data, order("fog", picture=tmp_path / "hard.png"))
    with pytest.raises(EnvironmentLacks, match="there is no folder"):
        verify(whole, data, order("fog", out=tmp_path / "no" / "hard.json"))
    with pytest.raises(InputError, match="takes --data"):
        verify(whole, None, order("fog"))
