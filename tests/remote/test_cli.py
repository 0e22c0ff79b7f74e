"""``edgetl build --host`` as a user runs it, with a vendor's compiler on a device without torch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgetl.runtime import open_bundle
from tests.e2e.conftest import BUILD, run_edgetl
from tests.remote.device import Device

pytestmark = pytest.mark.slow


def test_a_build_is_finished_on_the_device_and_its_bundle_works_here(device: Device, tmp_path: Path) -> None:
    lines = ["Host board", f"HostName {device.host}", *(one.replace("=", " ") for one in device.options())]
    (tmp_path / "ssh_config").write_text("\n".join([*lines, ""]))
    reach = ("--host", "board", "--ssh-config", "ssh_config")
    cache = tmp_path / "cache"
    assert run_edgetl("doctor", *reach, cwd=tmp_path, cache=cache).code == 0
    ran = run_edgetl(*BUILD, *reach, "--require-engine", "--json", cwd=tmp_path, cache=cache)
    assert ran.code == 0, ran.err
    assert "pending" not in ran.data
    assert ran.data["hosts"][0]["error"] is None
    assert ran.data["latency_ms"]["int8"]["n"] > 0
    assert ran.data["engine"]["backend"] == "openvino"
    bundle = open_bundle(tmp_path / ran.data["bundle"])
    assert bundle.engine.source == bundle.manifest.files["model.int8.onnx"].sha256
    assert str(device.home).encode() not in b"".join(
        (bundle.folder / name).read_bytes() for name in bundle.manifest.files
    )
    verified = run_edgetl("verify", "runs/latest", "--data", "demo", "--json", cwd=tmp_path, cache=cache)
    assert verified.code == 0, verified.err
    assert json.loads(verified.out)["accuracy"]["shipped"] > 0.85
    assert device.left_behind() == []


def test_a_profile_that_the_device_is_not_ends_with_5_and_stays_pending(
    device: Device, tmp_path: Path
) -> None:
    settings = [word for one in device.options() for word in ("--ssh-option", one)]
    build = ("build", "--data", "demo", "--model", "tiny", "--device", "jetson", "--max-drop", "5%")
    ran = run_edgetl(*build, "--host", device.host, *settings, cwd=tmp_path, cache=tmp_path / "cache")
    assert ran.code == 5
    assert "engine: pending" in ran.out
    assert "127.0.0.1 lacks tensorrt" in ran.err
    manifest = open_bundle(tmp_path / "runs/latest").manifest
    assert manifest.pending is not None
    assert manifest.pending.next[0].startswith("edgetl build --device jetson-orin-nano --host 127.0.0.1")
