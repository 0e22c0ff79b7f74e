"""The demo's pictures: all of them, or none."""

from __future__ import annotations

import errno
from pathlib import Path

import cv2
import pytest

from edgetl.data import demo
from edgetl.errors import EnvironmentLacks


def test_all_digits_are_there_and_are_written_once(tmp_path: Path) -> None:
    folder = demo.write(tmp_path / "cache/demo")
    files = sorted(folder.rglob("*.png"))
    assert len(files) == 1797
    assert {f.parent.name for f in files} == set("0123456789")
    picture = cv2.imread(str(files[0]))
    assert picture is not None
    assert picture.shape == (64, 64, 3)
    before = files[0].stat().st_mtime_ns
    assert demo.write(folder) == folder
    assert files[0].stat().st_mtime_ns == before
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["demo"]


def test_a_disk_that_fills_up_leaves_no_half_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []
    honest = Path.write_bytes

    def fill(path: Path, data: bytes) -> int:
        written.append(path)
        if len(written) > 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return honest(path, data)

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(EnvironmentLacks, match="disk is full"):
        demo.write(tmp_path / "cache/demo")
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_a_killed_build_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "demo/0").mkdir(parents=True)
    (tmp_path / "demo/0/0000.png").write_bytes(b"half")
    folder = demo.write(tmp_path / "demo")
    assert len(list(folder.rglob("*.png"))) == 1797
    assert (folder / "0/0000.png").read_bytes()[:4] == b"\x89PNG"
