"""The wheel that is sent: this edgetl, byte for byte the same each time."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgetl.remote import wheel

ROOT = Path(__file__).parents[2]


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, second = (wheel.write(tmp_path / name) for name in ("a", "b"))
    assert first.name == second.name == "edgetl-0.1.0-py3-none-any.whl"
    assert first.read_bytes() == second.read_bytes()


def test_a_checkout_gives_every_committed_file_of_the_package(tmp_path: Path) -> None:
    git = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(
        [*git, "edgetl", "calibration", "kernels"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("not a git checkout: what is committed is not known")
    wanted = {name if name.startswith("edgetl/") else f"edgetl/{name}" for name in listed.stdout.splitlines()}
    with zipfile.ZipFile(wheel.write(tmp_path)) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        records = {name.rpartition("/")[2] for name in archive.namelist() if ".dist-info/" in name}
    assert names == wanted | {"edgetl/_data/devices.yaml"}
    assert records == {"METADATA", "RECORD", "WHEEL", "entry_points.txt"}


def test_what_was_installed_from_it_gives_it_again(tmp_path: Path) -> None:
    made = wheel.write(tmp_path)
    with zipfile.ZipFile(made) as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "again").mkdir()
    program = (
        "import sys, edgetl; from pathlib import Path; from edgetl.remote import wheel; "
        "print(edgetl.__file__); wheel.write(Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", program, tmp_path / "again"],
        env={"PYTHONPATH": str(tmp_path / "site")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "site"))
    assert (tmp_path / "again" / made.name).read_bytes() == made.read_bytes()


def test_what_a_build_left_beside_the_checkout_is_not_taken_for_an_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "edgetl.egg-info"
    left.mkdir()
    (left / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: edgetl\nVersion: 0.0.9\n")
    (left / "SOURCES.txt").write_text("edgetl/__init__.py\n")
    clean = wheel.write(tmp_path).read_bytes()
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "again").mkdir()
    made = wheel.write(tmp_path / "again")
    assert made.name == "edgetl-0.1.0-py3-none-any.whl"
    assert made.read_bytes() == clean
    assert wheel.requirements()


def test_the_core_alone_is_required() -> None:
    names = {one.partition(">=")[0] for one in wheel.requirements()}
    assert {"numpy", "msgspec", "typer"} <= names
    assert not names & {"torch", "onnx", "openvino"}
