"""Commands about this host: devices, models, doctor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgetl.backends import seam
from edgetl.backends.seam import Probe
from edgetl.errors import EnvironmentLacks
from edgetl.report import host
from tests.cli.conftest import Run
from tests.report.test_jetson import tree


def test_devices_lists_profiles_and_says_of_each_backend_whether_it_is_usable(run: Run) -> None:
    told = run("devices")
    assert told.code == 0
    assert "▸ local" in told.out
    for words in ("jetson-orin-nano", "(also jetson,", "openvino", "usable: CPU", "tensorrt", "not usable"):
        assert words in told.out
    assert "fake" not in told.out


def test_devices_under_json_has_reason_and_mend_of_what_is_not_here(run: Run) -> None:
    found = json.loads(run("devices", "--json").out)
    assert {"name", "aliases", "backend", "device", "this_host"} <= set(found["devices"][0])
    rows = {row["backend"]: row for row in found["backends"]}
    assert rows["openvino"]["usable"]
    assert all("; " in why for why in rows["openvino"]["absent"].values())
    assert rows["tensorrt"]["reason"]


def test_a_backend_that_is_not_installed_is_told_with_its_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> seam.Backend:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(seam, "find", missing)
    rows = {row["backend"]: row for row in host.backends()}
    assert not rows["openvino"]["usable"]
    assert rows["openvino"]["mend"] == "pip install 'edgetl[openvino]'"
    text = "\n".join(host.backend_lines(list(rows.values())))
    assert "not usable: No module named 'openvino'" in text
    assert "mend: pip install 'edgetl[openvino]'" in text


def test_a_gpu_profile_is_this_host_only_where_the_gpu_answers(tmp_path: Path) -> None:
    from edgetl import devices

    def row(devices_here: tuple[str, ...]) -> dict[str, object]:
        return {"backend": "openvino", "usable": True, "devices": devices_here}

    mine = tmp_path / "mine.yaml"
    mine.write_text("devices: {local: {device: GPU}}")
    catalog = devices.load(mine)

    def marked(found: tuple[str, ...]) -> bool:
        rows = host.profiles(catalog, [row(found)])
        return next(bool(one["this_host"]) for one in rows if one["name"] == "local")

    assert marked(("CPU", "GPU"))
    assert not marked(("CPU",))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("devices: {mine: {backend: openvino, thread: 2}}", "Did you mean 'threads'?"),
        ("devices: {mine: {extends: intel-cpuu}}", "Did you mean 'intel-cpu'?"),
        ("devices: {a: {extends: b}, b: {extends: a}}", "in a circle: a -> b -> a"),
        ("{", "is not YAML"),
    ],
)
def test_a_bad_profile_is_bad_input(run: Run, tmp_path: Path, body: str, words: str) -> None:
    (tmp_path / "mine.yaml").write_text(body)
    told = run("devices", "--devices", tmp_path / "mine.yaml")
    assert told.code == 2
    assert words in told.err


def test_models_lists_cost_and_input_size(run: Run) -> None:
    told = run("models")
    assert told.code == 0
    assert "GMACs" in told.out
    assert "mobilenet_v2" in told.out
    names = [card["name"] for card in json.loads(run("models", "--json").out)["models"]]
    assert {"tiny", "resnet18", "vgg16", "inception_v3"} <= set(names)


def test_doctor_is_content_where_nothing_is_missing_and_names_the_mend_where_something_is(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "TRAIN_DISK_GB", 0)
    told = run("doctor")
    assert told.code == 0, told.out
    assert "nothing is missing for a build on this host" in told.out
    have = host._version
    monkeypatch.setattr(host, "_version", lambda name: None if name == "openvino" else have(name))
    told = run("doctor")
    assert told.code == 5
    assert "missing      openvino" in told.out
    assert "pip install 'edgetl[openvino]'" in told.out
    found = json.loads(run("doctor", "--json").out)
    assert found["healthy"] is False
    assert found["missing"][0]["mend"] == "pip install 'edgetl[openvino]'"


def test_doctor_says_when_the_disk_is_too_small(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "TRAIN_DISK_GB", 10**9)
    told = run("doctor")
    assert told.code == 5
    assert "EDGETL_CACHE" in told.out


def test_a_probe_that_fails_by_itself_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Half:
        def probe(self) -> Probe:
            raise EnvironmentLacks("its driver is too old")

    monkeypatch.setattr(seam, "find", lambda name: Half())
    assert {row["reason"] for row in host.backends() if row["backend"] == "openvino"} == {
        "its driver is too old"
    }


def test_doctor_on_a_jetson_names_the_board_and_asks_for_neither_torch_nor_its_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_version", lambda name: None)
    monkeypatch.setattr(host, "TRAIN_DISK_GB", 10**9)
    found = host.examine(tmp_path, tree(tmp_path))
    assert found["board"]["profile"] == "jetson-orin-nano"
    assert {lack["for"] for lack in found["missing"]} == {"tensorrt"}
    assert any("nvcc" in lack["mend"] for lack in found["missing"])
    told = host.examine_lines(found)
    assert any("6.2 (L4T 36.4.3)" in line for line in told)
    assert any("missing      pycuda" in line for line in told)
