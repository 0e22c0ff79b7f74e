"""``edgetl compile BUNDLE``: the engine is made or made again in place, and the bundle is whole at every moment."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from edgetl import digest, renewal
from edgetl.backends import folder as folders
from edgetl.devices import DeviceProfile
from edgetl.errors import BackendError, EnvironmentLacks, InputError
from edgetl.report.result import REFERENCE_NOTE, WAITING_NOTE
from edgetl.runtime import bundle as format_of
from edgetl.runtime import load, open_bundle
from edgetl.types import Engine
from tests import handmade

WAITING = format_of.Pending(reason="built on the board", next=("compile it there",))


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that the bundles' data digests are of."""
    return handmade.write_pictures(tmp_path_factory.mktemp("colours"))


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    """The profile that hand-made bundles name, and another."""
    file = tmp_path / "profiles.yaml"
    file.write_text("devices: {by-hand: {backend: fake}, other: {backend: onnxruntime}}\n")
    return file


@pytest.fixture
def pending(tmp_path: Path, colours: Path) -> Path:
    """A bundle without its engine, as a build leaves one."""
    place = handmade.write_bundle(tmp_path / "runs" / "colours", colours, backend="fake", pending=WAITING)
    results = json.loads((place / format_of.RESULTS).read_bytes())
    results["accuracy"]["reference_only"] = True
    results |= {"pending": {"reason": "built on the board", "next": []}, "notes": ["a note", WAITING_NOTE]}
    (place / format_of.RESULTS).write_bytes(digest.canonical_json(results))
    return handmade.reseal(place)


def test_a_pending_bundle_gets_its_engine_and_nothing_is_left_beside_it(
    pending: Path, profiles: Path
) -> None:
    (pending.parent / "latest").symlink_to(pending.name)
    before = open_bundle(pending).manifest
    told = renewal.compile_bundle(pending.parent / "latest", device=None, devices_file=profiles)
    assert told["summary"] == "default for fake CPU"
    bundle = open_bundle(pending)
    assert bundle.manifest.pending is None
    assert bundle.engine.source == before.files["model.fp32.onnx"].sha256
    assert {name for name, entry in before.files.items() if bundle.manifest.files[name] != entry} == {
        format_of.RESULTS
    }
    results = bundle.results
    assert "pending" not in results
    assert results["notes"] == ["a note", REFERENCE_NOTE]
    assert results["engine"]["backend"] == "fake"
    assert results["size_bytes"] == {"default": (pending / "engine/model.onnx").stat().st_size}
    assert sorted(path.name for path in pending.parent.iterdir()) == ["colours", "latest"]
    with load(pending) as predictor:
        assert predictor.check_golden() == 0.0


def test_the_same_engine_again_is_the_same_bytes_and_another_device_another_engine(
    pending: Path, profiles: Path
) -> None:
    renewal.compile_bundle(pending, device=None, devices_file=profiles)
    first = (pending / "manifest.json").read_bytes()
    renewal.compile_bundle(pending, device=None, devices_file=profiles)
    assert (pending / "manifest.json").read_bytes() == first
    renewal.compile_bundle(pending, device="other", devices_file=profiles)
    manifest = open_bundle(pending).manifest
    assert (manifest.device, manifest.backend) == ("other", "onnxruntime")
    assert "engine/model.onnx" in manifest.files


def test_options_of_the_backend_are_laid_over_those_of_the_profile(
    pending: Path, profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles.write_text("devices: {by-hand: {backend: fake, options: {a: 1, b: 2}}}\n")
    given: list[Mapping[str, object]] = []
    compiled = folders.compile_into

    def note(model: Path, profile: DeviceProfile, folder: Path) -> Engine:
        given.append(profile.options)
        return compiled(model, msgspec.structs.replace(profile, options={}), folder)

    monkeypatch.setattr(folders, "compile_into", note)
    renewal.compile_bundle(pending, device=None, devices_file=profiles, options={"b": "3"})
    assert given == [{"a": 1, "b": "3"}]


@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), BackendError("refused")]
)
def test_a_compiler_that_fails_or_a_full_disk_leaves_the_bundle_as_it_was(
    pending: Path, profiles: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    before = digest.of_tree(pending)

    def fail(model: Path, profile: object, folder: Path) -> None:
        folder.mkdir()
        (folder / "half").write_bytes(b"half an engine")
        raise failure

    monkeypatch.setattr(folders, "compile_into", fail)
    with pytest.raises(EnvironmentLacks):
        renewal.compile_bundle(pending, device=None, devices_file=profiles)
    assert digest.of_tree(pending) == before
    assert [path.name for path in pending.parent.iterdir()] == ["colours"]


def test_where_the_file_system_cannot_exchange_two_renames_do(
    pending: Path, profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    renewal.compile_bundle(pending, device=None, devices_file=profiles)
    assert open_bundle(pending).manifest.pending is None
    assert [path.name for path in pending.parent.iterdir()] == ["colours"]


def test_a_rename_that_fails_puts_the_old_bundle_back(
    pending: Path, profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, rename = digest.of_tree(pending), Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial") and target == pending and (self / "engine").exists():
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return rename(self, target)

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(EnvironmentLacks, match="cannot write"):
        renewal.compile_bundle(pending, device=None, devices_file=profiles)
    assert digest.of_tree(pending) == before


def test_what_this_host_cannot_build_is_said_with_the_next_command(pending: Path, profiles: Path) -> None:
    with pytest.raises(EnvironmentLacks, match="this host is not one") as caught:
        renewal.compile_bundle(pending, device="jetson", devices_file=profiles)
    assert "edgetl build --device jetson-orin-nano --host user@device" in caught.value.hint
    assert caught.value.hint.startswith("edgetl compile BUNDLE there")
    with pytest.raises(InputError, match="no device profile 'by-hand'"):
        renewal.compile_bundle(pending, device=None, devices_file=None)


def test_a_damaged_bundle_and_an_archive_are_refused(pending: Path, profiles: Path, tmp_path: Path) -> None:
    archive = tmp_path / "bundle.tar"
    archive.touch()
    with pytest.raises(InputError, match="is an archive"):
        renewal.compile_bundle(archive, device=None, devices_file=profiles)
    broken = Path(shutil.copytree(pending, tmp_path / "broken"))
    (broken / "model.fp32.onnx").write_bytes(b"another")
    with pytest.raises(InputError, match=r"model\.fp32\.onnx is not the file that was written"):
        renewal.compile_bundle(broken, device=None, devices_file=profiles)


def test_a_quantized_engine_is_made_of_the_quantized_model(pending: Path, profiles: Path) -> None:
    stored = msgspec.json.decode((pending / "manifest.json").read_bytes(), type=format_of.Manifest)
    (pending / "manifest.json").unlink()
    facts = msgspec.structs.replace(stored, precision="int8", files={}, sha256="")
    format_of.seal(pending, facts)
    with pytest.raises(InputError, match=r"no model\.int8\.onnx"):
        renewal.compile_bundle(pending, device=None, devices_file=profiles)
    handmade.write_model(pending / "model.int8.onnx")
    (pending / "manifest.json").unlink()
    format_of.seal(pending, facts)
    renewal.compile_bundle(pending, device=None, devices_file=profiles)
    bundle = open_bundle(pending)
    assert bundle.engine.precision == "int8"
    assert bundle.engine.source == bundle.manifest.files["model.int8.onnx"].sha256


@pytest.mark.parametrize(
    ("backend", "model"), [("tensorrt", "model.fp32.fused.onnx"), ("fake", "model.fp32.onnx")]
)
def test_a_fused_head_is_what_tensorrt_compiles_and_nobody_else(
    pending: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, model: str
) -> None:
    shutil.copyfile(pending / "model.fp32.onnx", pending / "model.fp32.fused.onnx")
    handmade.reseal(pending)
    profiles = tmp_path / "mine.yaml"
    profiles.write_text(f"devices: {{mine: {{backend: {backend}}}}}\n")
    monkeypatch.setattr("edgetl.target.where_it_runs", lambda profile: (profile, None))
    asked = []

    def refuse(source: Path, profile: DeviceProfile, folder: Path) -> Engine:
        asked.append(source.name)
        raise BackendError("it is enough to know what was asked for")

    monkeypatch.setattr(folders, "compile_into", refuse)
    with pytest.raises(BackendError, match="enough"):
        renewal.compile_bundle(pending, device="mine", devices_file=profiles)
    assert asked == [model]
