"""Run a bundle over a camera, a network stream, a video file or a folder of pictures.

    python examples/camera.py runs/latest 0 --show
    python examples/camera.py runs/latest rtsp://192.168.0.10/stream --save seen.mp4
    python examples/camera.py runs/latest drive.mp4 --save annotated/
    python examples/camera.py runs/latest ./pictures

A live source (a camera, a stream) does not wait: a thread reads it and keeps the newest frame only, and the frames
that came while the engine was busy are dropped and counted. Files lose nothing, unless ``--realtime`` plays a video
at its own speed. Ctrl-C, or q in the window, ends the run and prints its summary.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

import edgetl
from edgetl import EdgetlError, EnvironmentLacks, InputError

Frame = npt.NDArray[np.uint8]
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
P90_RUNS = 64
"""Fewer latencies than this do not support a 90th percentile."""


class Source(Protocol):
    """Named frames, BGR, until there are none; ``dropped`` of them came too late."""

    dropped: int
    fps: float

    def __iter__(self) -> Iterator[tuple[str, Frame]]: ...

    def close(self) -> None: ...


class Folder:
    """The pictures of a folder, by name."""

    dropped = 0
    fps = 1.0

    def __init__(self, folder: Path) -> None:
        self._files = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES)
        if not self._files:
            raise InputError(f"{folder} holds no pictures", hint=f"looked for {', '.join(PICTURES)}")

    def __iter__(self) -> Iterator[tuple[str, Frame]]:
        for file in self._files:
            frame = cv2.imread(str(file), cv2.IMREAD_COLOR)
            if frame is None:
                raise InputError(f"{file} is not a picture that can be decoded", hint="remove it")
            yield file.name, np.asarray(frame, np.uint8)

    def close(self) -> None:
        """Nothing is open."""


class Video:
    """Every frame of whatever OpenCV opens, in order."""

    dropped = 0

    def __init__(self, address: str | int, hint: str) -> None:
        self._capture = cv2.VideoCapture(address)
        if not self._capture.isOpened():
            raise InputError(f"OpenCV cannot open {address}", hint=hint)
        told = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = told if 0 < told < 1000 else 25.0

    def read(self) -> Frame | None:
        """The next frame, or ``None`` at the end."""
        whole, frame = self._capture.read()
        return np.asarray(frame, np.uint8) if whole else None

    def __iter__(self) -> Iterator[tuple[str, Frame]]:
        return _numbered(self.read)

    def close(self) -> None:
        """Give the device or the file back."""
        self._capture.release()


class Newest:
    """A source that does not wait: read by a thread, of which the newest frame alone is kept.

    Parameters
    ----------
    video : what is read.
    pace_seconds : time from frame to frame; 0 where the source itself has one, as a camera has.
    """

    def __init__(self, video: Any, *, pace_seconds: float = 0.0) -> None:
        self.fps: float = video.fps
        self.dropped = 0
        self._video = video
        self._pace_seconds = pace_seconds
        self._news = threading.Condition()
        self._frame: Frame | None = None
        self._error: Exception | None = None
        self._ended = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="frames", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        due = time.perf_counter()
        frame: Frame | None = None
        while True:
            try:
                frame = None if self._stop.is_set() else self._video.read()
            except Exception as error:
                frame, self._error = None, error
            with self._news:
                self._news.notify()
                if frame is None:
                    self._ended = True
                    return
                self.dropped += self._frame is not None
                self._frame = frame
            due += self._pace_seconds
            self._stop.wait(max(0.0, due - time.perf_counter()))

    def _take(self) -> Frame | None:
        with self._news:
            self._news.wait_for(lambda: self._frame is not None or self._ended)
            frame, self._frame = self._frame, None
        if frame is None and self._error is not None:
            raise self._error
        return frame

    def __iter__(self) -> Iterator[tuple[str, Frame]]:
        return _numbered(self._take)

    def close(self) -> None:
        """Stop reading, then give the device back."""
        self._stop.set()
        self._thread.join(timeout=5)
        self._video.close()


def _numbered(read: Callable[[], Frame | None]) -> Iterator[tuple[str, Frame]]:
    number = 0
    while (frame := read()) is not None:
        number += 1
        yield f"{number:06d}.jpg", frame


def open_source(text: str, *, realtime: bool) -> Source:
    """A camera by its number, a network stream by its address, a video or a folder by its path."""
    if text.isdigit():
        return Newest(Video(int(text), "is a camera connected, and may you read /dev/video*?"))
    if "://" in text:
        return Newest(Video(text, "check the address, the password and the network"))
    place = Path(text)
    if place.is_dir():
        return Folder(place)
    if not place.is_file():
        raise InputError(f"{text} is no camera number, address, file or folder", hint="0 is the first camera")
    video = Video(text, "is it a video that this OpenCV can decode?")
    return Newest(video, pace_seconds=1 / video.fps) if realtime else video


class Film:
    """Annotated frames as one video file."""

    def __init__(self, file: Path, fps: float) -> None:
        self._file, self._fps = file, fps
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def add(self, name: str, frame: Frame) -> None:
        """Append a frame; all have the size of the first."""
        size = (frame.shape[1], frame.shape[0])
        if self._writer is None:
            self._size = size
            self._writer = cv2.VideoWriter(str(self._file), cv2.VideoWriter.fourcc(*"mp4v"), self._fps, size)
            if not self._writer.isOpened():
                raise EnvironmentLacks(
                    f"cannot write {self._file}", hint="is its folder there, and writable?"
                )
        if size != self._size:
            raise InputError(
                f"{name} is {size}, the video {self._size}", hint="--save FOLDER takes any sizes"
            )
        self._writer.write(frame)

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()


class Album:
    """Annotated frames as pictures in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EnvironmentLacks(
                f"cannot write to {folder}: {error.strerror}", hint="another --save"
            ) from error

    def add(self, name: str, frame: Frame) -> None:
        """Write one picture."""
        if not cv2.imwrite(str(self._folder / name), frame):
            raise EnvironmentLacks(f"cannot write {self._folder / name}", hint="is the disk full?")

    def close(self) -> None:
        """Every picture is whole already."""


class Window:
    """Annotated frames on the screen."""

    title = "edgetl"

    def __init__(self) -> None:
        self._open = False

    def add(self, name: str, frame: Frame) -> None:
        """Show a frame; q or Esc ends the run."""
        try:
            cv2.imshow(self.title, frame)
            self._open = True
            key = cv2.waitKey(1) & 0xFF
        except cv2.error as error:
            raise EnvironmentLacks(
                "this OpenCV cannot open a window", hint="pip install opencv-python and a display; or --save"
            ) from error
        if key in (ord("q"), 27):
            raise KeyboardInterrupt

    def close(self) -> None:
        """Close the window."""
        if self._open:
            cv2.destroyAllWindows()


def annotate(frame: Frame, text: str) -> Frame:
    """A copy of the frame with a line of text on a dark bar, of a size that can be read."""
    drawn: Frame = frame.copy()
    scale = max(0.4, min(frame.shape[:2]) / 600)
    thickness = max(1, round(2 * scale))
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    margin = height // 2
    cv2.rectangle(drawn, (0, 0), (width + 2 * margin, height + below + 2 * margin), (32, 32, 32), -1)
    place = (margin, height + margin)
    cv2.putText(drawn, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), thickness, cv2.LINE_AA)
    return drawn


def told(answer: Any) -> str:
    """A class with its probability, a value, or the answer to each of several tasks."""
    if isinstance(answer, dict):
        return ", ".join(f"{name} {told(one)}" for name, one in answer.items())
    return (
        f"{answer.value:.4g}"
        if hasattr(answer, "value")
        else f"{answer.label} {100 * answer.probability:.1f} %"
    )


def run(predictor: Any, source: Source, sinks: Sequence[Any]) -> list[float]:
    """Predict every frame until the source ends or the user stops; latencies in milliseconds, frame to label."""
    latencies: list[float] = []
    try:
        for name, frame in source:
            begun = time.perf_counter()
            answer = predictor.predict(frame, top_k=1)
            latencies.append((time.perf_counter() - begun) * 1e3)
            said = f"{told(answer)}  {latencies[-1]:.1f} ms"
            print(f"{name}  {said}")
            drawn = annotate(frame, said) if sinks else frame
            for sink in sinks:
                sink.add(name, drawn)
    except KeyboardInterrupt:
        print("stopped")
    return latencies


def summary(latencies: Sequence[float], dropped: int) -> str:
    """What the run came to."""
    if not latencies:
        return f"no frame was read, {dropped} dropped"
    ordered = sorted(latencies)
    p90 = (
        f"{statistics.quantiles(ordered, n=10)[8]:.2f} ms"
        if len(ordered) >= P90_RUNS
        else f"needs {P90_RUNS} frames"
    )
    return (
        f"{len(ordered)} frames, {dropped} dropped; latency mean {statistics.mean(ordered):.2f} ms, "
        f"p50 {statistics.median(ordered):.2f} ms, p90 {p90}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", help="bundle folder or archive")
    parser.add_argument(
        "source", help="camera number, address (rtsp://...), video file or folder of pictures"
    )
    parser.add_argument("--show", action="store_true", help="show the frames in a window")
    parser.add_argument(
        "--save", type=Path, metavar="PLACE", help="write annotated frames: FILE.mp4, or a folder"
    )
    parser.add_argument(
        "--realtime", action="store_true", help="play a video at its own speed and drop late frames"
    )
    options = parser.parse_args(arguments)
    sinks: list[Any] = []
    try:
        with edgetl.load(options.bundle) as predictor:
            predictor.warm_up()
            source = open_source(options.source, realtime=options.realtime)
            try:
                if options.save is not None:
                    film = options.save.suffix.lower() == ".mp4"
                    sinks.append(Film(options.save, source.fps) if film else Album(options.save))
                if options.show:
                    sinks.append(Window())
                latencies = run(predictor, source, sinks)
            finally:
                for sink in sinks:
                    sink.close()
                source.close()
        print(summary(latencies, source.dropped))
    except EdgetlError as error:
        print(f"error: {error.problem}\n       {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:  # before the first frame
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
