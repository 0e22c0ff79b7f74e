"""``examples/camera.py`` over a video, a folder and a source that does not wait."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from tests.runtime.conftest import Sealed
from tests.runtime.sealed import LABELS, Kind, picture

PROGRAM = Path(__file__).parents[2] / "examples/camera.py"
FRAMES = 12


@pytest.fixture(scope="module")
def camera() -> ModuleType:
    spec = importlib.util.spec_from_file_location("camera", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["camera"] = module
    spec.loader.exec_module(module)
    return module


def run(*arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROGRAM), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **more,
    )


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red, green and blue by turns."""
    return film(tmp_path_factory.mktemp("video") / "in.mp4", FRAMES)


def film(file: Path, frames: int) -> Path:
    """A video of ten frames a second."""
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (160, 96))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.ascontiguousarray(picture(LABELS[number % 3], 96, 160)[..., ::-1]))
    writer.release()
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures of different sizes, and a file that is none."""
    place = tmp_path / "pictures"
    place.mkdir()
    for number, label in enumerate(LABELS):
        frame = picture(label, 90 + 30 * number, 120)
        assert cv2.imwrite(str(place / f"{label}.png"), frame[..., ::-1])
    (place / "notes.txt").write_text("not a picture")
    return place


def labels_of(told: str) -> list[str]:
    return re.findall(r"^\S+\.(?:jpg|png)  (\w+) ", told, re.MULTILINE)


def test_every_frame_of_a_video_is_labelled_and_none_is_dropped(
    sealed: Sealed, video: Path, tmp_path: Path
) -> None:
    done = run(sealed(Kind(backend="openvino")), video, "--save", tmp_path / "out.mp4")
    assert done.returncode == 0, done.stderr
    assert labels_of(done.stdout) == [LABELS[n % 3] for n in range(FRAMES)]
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(
        r"12 frames, 0 dropped; latency mean [\d.]+ ms, p50 [\d.]+ ms, p90 needs 64 frames", last
    )
    saved = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert saved.get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES
    whole, frame = saved.read()
    assert whole
    assert frame.shape == (96, 160, 3)
    assert (frame[:8, :8].astype(int).max(axis=2) < 120).all(), "the bar behind the text is dark"


def test_a_folder_is_read_by_name_and_saved_beside(
    camera: ModuleType, sealed: Sealed, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert camera.main([str(sealed()), str(folder), "--save", str(tmp_path / "deep/out")]) == 0
    told = capsys.readouterr().out
    assert labels_of(told) == ["blue", "green", "red"]
    assert "3 frames, 0 dropped" in told
    assert sorted(p.name for p in (tmp_path / "deep/out").iterdir()) == ["blue.png", "green.png", "red.png"]


class Paced:
    """A camera that hands out a frame each time the test says so."""

    fps = 30.0

    def __init__(self, frames: int) -> None:
        self.left = frames
        self.gate = threading.Semaphore(0)
        self.asked = threading.Semaphore(0)
        self.closed = False

    def read(self) -> Any:
        self.asked.release()
        self.gate.acquire()
        self.left -= 1
        return None if self.left < 0 else np.full((4, 4, 3), self.left, np.uint8)

    def close(self) -> None:
        self.closed = True

    def give(self, count: int) -> None:
        """Let so many frames arrive, and come back when the last was put down."""
        for _ in range(count):
            assert self.asked.acquire(timeout=10)
            self.gate.release()
        assert self.asked.acquire(timeout=10)
        self.asked.release()


def test_frames_that_come_while_the_engine_is_busy_are_dropped_and_counted(camera: ModuleType) -> None:
    paced = Paced(frames=7)
    source = camera.Newest(paced)
    frames = iter(source)
    paced.give(1)
    assert next(frames)[1][0, 0, 0] == 6
    paced.give(4)  # the engine is busy: three of these four come too late
    assert next(frames)[1][0, 0, 0] == 2
    assert source.dropped == 3
    paced.give(1)
    assert next(frames)[1][0, 0, 0] == 1
    assert source.dropped == 3
    for _ in range(2):  # the last frame, then the end: it is not lost
        paced.gate.release()
    assert [int(frame[0, 0, 0]) for _, frame in frames] == [0]
    source.close()
    assert paced.closed


def test_an_error_of_the_reading_thread_reaches_the_run(camera: ModuleType) -> None:
    def fail() -> None:
        raise OSError("unplugged")

    source = camera.Newest(SimpleNamespace(fps=1.0, read=fail, close=lambda: None))
    with pytest.raises(OSError, match="unplugged"):
        list(source)
    source.close()


def test_realtime_plays_a_video_at_its_own_speed_and_drops_what_is_late(
    camera: ModuleType, video: Path
) -> None:
    source = camera.open_source(str(video), realtime=True)
    assert isinstance(source, camera.Newest)
    frames = iter(source)
    next(frames)
    source._thread.join(timeout=60)  # the engine is busy to the end of the video
    assert len(list(frames)) == 1
    assert source.dropped == FRAMES - 2
    source.close()


def test_ctrl_c_ends_a_run_with_its_summary(sealed: Sealed, tmp_path: Path) -> None:
    video = film(
        tmp_path / "long.mp4", 600
    )  # a minute, so that a busy host does not end it before the signal comes
    with subprocess.Popen(
        [
            sys.executable,
            "-u",
            str(PROGRAM),
            str(sealed()),
            str(video),
            "--realtime",
            "--save",
            str(tmp_path / "o"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        child.send_signal(signal.SIGINT)
        rest, said = child.communicate(timeout=60)
    assert child.returncode == 0, said
    assert labels_of(first)
    assert "stopped" in rest
    assert re.search(r"\d+ frames, \d+ dropped; latency mean", rest)
    assert "Traceback" not in said


def test_the_90th_percentile_is_told_with_the_support_it_needs(camera: ModuleType) -> None:
    assert camera.summary([1.0] * 63, 0).endswith("needs 64 frames")
    assert camera.summary([float(n) for n in range(1, 101)], 5).startswith("100 frames, 5 dropped")
    assert "p50 50.50 ms, p90 90.90 ms" in camera.summary([float(n) for n in range(1, 101)], 0)
    assert camera.summary([], 2) == "no frame was read, 2 dropped"


def answers(camera: ModuleType, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = camera.main([str(a) for a in arguments])
    return code, capsys.readouterr().err


@pytest.fixture
def _headless(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise cv2.error("The function is not implemented. Rebuild the library with GTK+ 2.x")

    monkeypatch.setattr(cv2, "imshow", refuse)
    monkeypatch.setattr(cv2, "destroyAllWindows", refuse)


@pytest.mark.usefixtures("_headless")
def test_what_cannot_be_done_is_one_clear_line(
    camera: ModuleType,
    sealed: Sealed,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle = sealed()
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "file").write_text("")
    cases: list[tuple[int, str, tuple[object, ...]]] = [
        (2, "no such bundle", (tmp_path / "nowhere", folder)),
        (2, "no camera number, address, file or folder", (bundle, tmp_path / "nowhere")),
        (2, "holds no pictures", (bundle, tmp_path / "empty")),
        (2, "cannot open", (bundle, tmp_path / "text.mp4")),
        (2, "cannot open", (bundle, "97")),
        (2, "--save FOLDER", (bundle, folder, "--save", tmp_path / "sizes.mp4")),
        (5, "cannot write", (bundle, folder, "--save", tmp_path / "none/out.mp4")),
        (5, "cannot write to", (bundle, folder, "--save", tmp_path / "file/out")),
        (5, "cannot open a window", (bundle, folder, "--show")),
        (5, "no engine yet", (sealed(Kind(pending=True)), folder)),
    ]
    for code, words, arguments in cases:
        told = answers(camera, capsys, *arguments)
        assert told[0] == code, told
        assert words in told[1]
        assert "Traceback" not in told[1]
    (folder / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    assert answers(camera, capsys, bundle, folder)[0] == 2
