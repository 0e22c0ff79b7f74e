"""A bundle is whole under its final name, or it is not there."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgetl import digest
from edgetl.devices import DeviceProfile
from edgetl.errors import EnvironmentLacks
from edgetl.pipeline import Artifact
from edgetl.report.result import Outcome
from edgetl.runtime import archive, bundle, load, open_bundle
from edgetl.stages import package
from edgetl.types import BuildSpec
from tests.runtime.sealed import LABELS, Kind, make

PROFILE = DeviceProfile(name="box", backend="onnxruntime", device="CPU")
Write = Callable[..., package.Written]


def artifact(folder: Path, record: dict[str, Any] | None = None) -> Artifact:
    folder.mkdir(parents=True, exist_ok=True)
    return Artifact(folder, record or {}, "0" * 64)


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """What the stages of a build would have left."""
    home = tmp_path_factory.mktemp("stages")
    made = make(home / "made", Kind())
    pictures, logits = np.load(made / bundle.GOLDEN)["inputs"], np.load(made / bundle.GOLDEN)["logits"]
    rule = open_bundle(made).preprocess
    found = {
        "check": artifact(
            home / "check", {"classes": list(LABELS), "data_digest": "d", "role_digests": {"test": "t"}}
        ),
        "prepare": artifact(home / "prepare", {"preprocess": rule}),
        "export": artifact(home / "export"),
        "compile:f32": artifact(home / "compile"),
        "verify:f32": artifact(home / "verify"),
    }
    np.save(home / "prepare/test.npy", pictures)
    np.save(home / "verify/test.npy", logits)
    shutil.copyfile(made / "model.fp32.onnx", home / "export/model.onnx")
    shutil.copytree(made / "engine", home / "compile/engine")
    return found


@pytest.fixture
def write(artifacts: dict[str, Artifact], tmp_path: Path) -> Write:
    def call(
        pending: dict[str, Any] | None = None, training: dict[str, Any] | None = None, **options: Any
    ) -> package.Written:
        spec = BuildSpec(data="colours", model="tiny", out=str(tmp_path / "runs"), **options)
        shipped = {"candidate": "f32", "precision": "f32", "backend": "fake"}
        data: dict[str, Any] = {"shipped": shipped, "accuracy": {"shipped": 1.0}, "training": training or {}}
        outcome = Outcome({**data, **({"pending": pending} if pending else {})}, None)
        return package.write(spec, PROFILE, artifacts, outcome, Path("some/where/colours"))

    return call


def everything(home: Path) -> list[str]:
    return sorted(p.relative_to(home).as_posix() for p in home.rglob("*"))


def test_what_was_written_opens_and_answers_its_golden_vectors(write: Write) -> None:
    written = write()
    with load(written.folder) as predictor:
        assert predictor.check_golden() < 1e-6
        assert predictor.bundle.labels == LABELS
    assert written.archive is None
    manifest = open_bundle(written.folder).manifest
    assert manifest.data == {"all": "d", "test": "t"}
    assert (manifest.name, manifest.device, manifest.precision) == ("colours", "box", "f32")


def test_the_seed_is_that_of_the_splits_whichever_training_ships(write: Write) -> None:
    """With another, verify would draw other test images, and take those that were trained on."""
    written = write(seed=3, seeds=4, training={"seeds": {"chosen": 5}})
    manifest = open_bundle(written.folder).manifest
    assert manifest.seed == 3
    assert manifest.training["seeds"]["chosen"] == 5


def test_where_accuracy_is_of_another_place_the_labelled_data_s_own_test_images_are_kept_apart(
    write: Write, artifacts: dict[str, Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    for tested, kept in (
        ("frames", {"all": "d", "test": "frames", "source_test": "t"}),
        ("t", {"all": "d", "test": "t"}),
    ):
        there = Artifact(artifacts["prepare"].path, {"role_digests": {"test": tested}}, "0" * 64)
        monkeypatch.setitem(artifacts, "judge", there)
        assert open_bundle(write().folder).manifest.data == kept


def test_latest_is_a_relative_link_to_the_newest_and_the_tree_may_move(write: Write, tmp_path: Path) -> None:
    write()
    newest = write()
    assert newest.latest.resolve() == newest.folder.resolve()
    assert not os.readlink(newest.latest).startswith("/")
    (tmp_path / "runs").rename(tmp_path / "moved")
    open_bundle(tmp_path / "moved/latest")


def test_builds_that_end_in_one_second_get_names_of_their_own(write: Write) -> None:
    folders = {write().folder for _ in range(3)}
    assert len(folders) == 3
    for folder in folders:
        open_bundle(folder)


def test_the_archive_opens_as_the_same_bundle(write: Write, tmp_path: Path) -> None:
    written = write(archive=True)
    assert written.archive is not None
    back = archive.unpack(written.archive, tmp_path / "back")
    assert digest.of_tree(back) == digest.of_tree(written.folder)


def test_a_pending_bundle_says_what_is_left(write: Write) -> None:
    written = write(pending={"reason": "no TensorRT here", "next": ["copy it over", "compile it"]})
    assert not (written.folder / "engine").exists()
    with pytest.raises(EnvironmentLacks, match="no TensorRT here"):
        load(written.folder)


FAILURES = [(errno.ENOSPC, "disk is full"), (errno.EROFS, "cannot write to")]


@pytest.mark.parametrize(("number", "words"), FAILURES)
@pytest.mark.parametrize("seam", ["copyfile", "copytree", "savez", "seal", "rename", "symlink_to", "pack"])
def test_a_disk_that_refuses_at_any_step_leaves_no_half_of_a_bundle(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seam: str, number: int, words: str
) -> None:
    first = write()
    before = everything(tmp_path / "runs")

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    owner: Any = {
        "copyfile": shutil, "copytree": shutil, "savez": np, "seal": bundle,
        "rename": Path, "symlink_to": Path, "pack": archive,
    }[seam]  # fmt: skip
    monkeypatch.setattr(owner, seam, fail)
    with pytest.raises(EnvironmentLacks, match=words) as caught:
        write(archive=True)
    monkeypatch.undo()
    assert caught.value.exit_code == 5
    after = everything(tmp_path / "runs")
    if seam in ("symlink_to", "pack"):  # the bundle itself was whole by then
        added = {name for name in set(after) - set(before) if name.count("/") == 1}
        assert len(added) == 1
        open_bundle(tmp_path / "runs" / added.pop())
    else:
        assert after == before
        assert (tmp_path / "runs/latest").resolve() == first.folder.resolve()
    assert not [name for name in after if "partial" in name or ".latest" in name]


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package.check_place(tmp_path / "not/yet/there")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EnvironmentLacks, match="cannot write to"):
        package.check_place(tmp_path / "file/runs")

    def read_only(**_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    with pytest.raises(EnvironmentLacks, match="Read-only") as caught:
        package.check_place(tmp_path)
    assert caught.value.exit_code == 5


def test_a_place_below_a_file_is_an_error_with_the_mend(write: Write, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(EnvironmentLacks, match="cannot write to") as caught:
        write()
    assert "--out" in caught.value.hint


def test_a_folder_called_latest_is_not_removed(write: Write, tmp_path: Path) -> None:
    (tmp_path / "runs/latest").mkdir(parents=True)
    (tmp_path / "runs/latest/mine").write_text("mine")
    with pytest.raises(EnvironmentLacks, match="cannot write to"):
        write()
    assert (tmp_path / "runs/latest/mine").read_text() == "mine"


def test_what_a_killed_build_left_is_swept_and_what_another_is_writing_is_not(
    write: Write, tmp_path: Path
) -> None:
    home = tmp_path / "runs/colours"
    for name in (".old.partial", ".new.partial"):
        (home / name).mkdir(parents=True)
    os.utime(home / ".old.partial", (1, 1))
    write()
    assert not (home / ".old.partial").exists()
    assert (home / ".new.partial").exists()
