"""A bundle at work."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

import edgetl
from edgetl import digest
from edgetl.backends.seam import Request
from edgetl.errors import BundleError, EnvironmentLacks, GateFailed, InputError
from edgetl.runtime import Predictor, archive, bundle, load, preprocess
from tests.runtime.conftest import Sealed
from tests.runtime.sealed import LABELS, SIDE, Kind, manifest, picture

Image = npt.NDArray[np.uint8]
KINDS = [
    Kind(backend=backend, batch=batch) for backend in ("openvino", "onnxruntime") for batch in (1, 3, None)
]


def noise(count: int, height: int = 40, width: int = 50) -> list[Image]:
    return list(np.random.default_rng(1).integers(0, 256, (count, height, width, 3), dtype=np.uint8))


@pytest.fixture
def predictor(sealed: Sealed) -> Iterator[Predictor]:
    with load(sealed()) as opened:
        yield opened


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_one_picture_or_many_get_the_same_answers_whatever_the_engines_batch(
    sealed: Sealed, kind: Kind
) -> None:
    frames = noise(7)
    with load(sealed(kind)) as predictor:
        single = [predictor.predict(frame) for frame in frames]
        together = predictor.predict_batch(frames)
    assert len(together) == len(frames)
    for one, other, frame in zip(single, together, frames, strict=True):
        expected = preprocess.apply(frame[..., ::-1], predictor.bundle.preprocess).mean(axis=(0, 1))
        np.testing.assert_allclose(one.logits, expected, rtol=1e-5)
        np.testing.assert_allclose(other.logits, expected, rtol=1e-5)


@pytest.mark.parametrize("label", LABELS)
def test_colour_order_is_that_of_the_caller(sealed: Sealed, label: str) -> None:
    for color in ("rgb", "bgr"):
        with load(sealed(Kind(color=color))) as predictor:
            rgb = picture(label, 33, 47)
            given = predictor.predict(rgb, color="rgb").logits
            np.testing.assert_array_equal(given, predictor.predict(rgb[..., ::-1], color="bgr").logits)
            assert given.argmax() == (LABELS if color == "rgb" else LABELS[::-1]).index(label)


def test_the_answer_is_ranked_with_probabilities(predictor: Predictor) -> None:
    found = predictor.predict(picture("green"), color="rgb", top_k=2)
    assert found.label == "green"
    assert [label for label, _ in found.top_k] == ["green", "red"]
    assert found.probability == pytest.approx(1.0)
    assert len(predictor.predict(picture("green"), top_k=99).top_k) == len(LABELS)


@pytest.mark.parametrize(
    "view",
    [
        lambda f: f[::-1],
        lambda f: f[:, ::-1],
        lambda f: f[::2, ::3],
        lambda f: f.transpose(1, 0, 2),
        lambda f: np.asfortranarray(f),
        lambda f: f[5:6, 5:6],
    ],
)
def test_strides_do_not_matter(predictor: Predictor, view: Any) -> None:
    frame = view(noise(1, 90, 120)[0])
    given = predictor.predict(frame).logits
    np.testing.assert_array_equal(given, predictor.predict(np.ascontiguousarray(frame)).logits)


def test_a_file_is_read_as_rgb(predictor: Predictor, tmp_path: Path) -> None:
    frame = picture("blue", 40, 30)
    assert cv2.imwrite(str(tmp_path / "p.png"), frame[..., ::-1])
    for source in (tmp_path / "p.png", str(tmp_path / "p.png")):
        found = predictor.predict(source).logits
        np.testing.assert_array_equal(found, predictor.predict(frame, color="rgb").logits)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (None, "NoneType"),
        (np.zeros((8, 8), np.uint8), "shape"),
        (np.zeros((8, 8, 4), np.uint8), "shape"),
        (np.zeros((0, 8, 3), np.uint8), "shape"),
        (np.zeros((8, 8, 3), np.float32), "float32"),
    ],
)
def test_what_is_no_frame_is_refused_and_the_next_frame_is_answered(
    predictor: Predictor, frame: Any, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        predictor.predict(frame)
    assert predictor.predict(picture("red"), color="rgb").label == "red"


def test_options_out_of_range_are_refused(predictor: Predictor) -> None:
    with pytest.raises(InputError, match="top_k"):
        predictor.predict(picture("red"), top_k=0)
    with pytest.raises(InputError, match="color"):
        predictor.predict(picture("red"), color="gbr")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="ahead"):
        predictor.stream([], ahead=0)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_threads_get_the_answers_of_their_own_frames(sealed: Sealed, backend: str) -> None:
    frames = noise(60)
    with load(sealed(Kind(backend=backend))) as predictor:
        alone = [predictor.predict(frame).logits for frame in frames]
        with ThreadPoolExecutor(8) as pool:
            for _ in range(3):
                found = list(pool.map(predictor.predict, frames))
                np.testing.assert_array_equal([answer.logits for answer in found], alone)


def test_threads_that_come_and_go_share_one_request(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    ask = predictor.session.request

    def counted() -> Request:
        made.append(ask())
        return made[-1]

    monkeypatch.setattr(predictor.session, "request", counted)
    for _ in range(20):
        thread = threading.Thread(target=predictor.predict, args=(picture("red"),))
        thread.start()
        thread.join()
    assert len(made) == 1


class Counted:
    """An iterator that knows how far it was read."""

    def __init__(self, frames: list[Image]) -> None:
        self.frames = frames
        self.read = 0

    def __iter__(self) -> Iterator[Image]:
        for frame in self.frames:
            self.read += 1
            yield frame


@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_a_stream_keeps_the_order_and_reads_no_further_than_it_said(predictor: Predictor, ahead: int) -> None:
    frames = noise(12)
    source = Counted(frames)
    for done, answer in enumerate(predictor.stream(source, ahead=ahead), start=1):
        assert source.read <= done + ahead
        np.testing.assert_array_equal(answer.logits, predictor.predict(frames[done - 1]).logits)
    assert source.read == len(frames)


def test_the_next_frame_is_prepared_while_the_engine_works(
    sealed: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Start comes twice before the first wait, and from then on each start before the wait of the frame before."""
    with load(sealed(Kind(backend="openvino"))) as predictor:
        events: list[str] = []
        ask = predictor.session.request

        class Watched:
            def __init__(self) -> None:
                self._request = ask()
                self.inputs = self._request.inputs

            def start(self) -> None:
                events.append("start")
                self._request.start()

            def wait(self) -> dict[str, Any]:
                events.append("wait")
                return self._request.wait()

            def infer(self) -> dict[str, Any]:
                events.append("infer")
                return self._request.infer()

        monkeypatch.setattr(predictor.session, "request", Watched)
        predictor.predict(noise(1)[0])
        assert events == ["infer"], "one picture waits for no other thread"
        events.clear()
        predictor.predict_batch(noise(4))
    assert events == ["start", "start", "wait", "start", "wait", "start", "wait", "wait"]


def test_a_stream_that_is_left_in_the_middle_disturbs_nobody(predictor: Predictor) -> None:
    stream = predictor.stream(noise(9))
    next(stream)
    del stream
    assert predictor.predict(picture("red"), color="rgb").label == "red"


def test_a_bad_frame_in_a_stream_is_refused_and_the_predictor_goes_on(predictor: Predictor) -> None:
    with pytest.raises(InputError):
        list(predictor.stream([*noise(3), None]))  # type: ignore[list-item]
    assert predictor.predict(picture("red"), color="rgb").label == "red"


def test_closing_comes_in_any_order(sealed: Sealed) -> None:
    predictor = load(sealed(Kind(backend="openvino")))
    stream = predictor.stream(noise(9))
    next(stream)
    predictor.close()
    predictor.close()
    with pytest.raises(InputError, match="closed"):
        list(stream)
    with pytest.raises(InputError, match="closed"):
        predictor.predict(picture("red"))


def test_closing_while_other_threads_predict_ends_them_cleanly(sealed: Sealed) -> None:
    predictor = load(sealed(Kind(backend="openvino")))
    begun = threading.Barrier(5)

    def work() -> str:
        begun.wait()
        try:
            for _ in range(10_000):
                assert predictor.predict(picture("red"), color="rgb").label == "red"
        except InputError as error:
            return error.problem
        return "never closed"

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(work) for _ in range(4)]
        begun.wait()
        predictor.close()
        assert {job.result() for job in jobs} == {"the predictor is closed"}


def test_nan_in_the_logits_is_an_answer_of_no(sealed: Sealed) -> None:
    with load(sealed(Kind(nan=True))) as predictor:
        with pytest.raises(GateFailed, match="NaN") as caught:
            predictor.predict(picture("red"))
        assert caught.value.exit_code == 1
        with pytest.raises(GateFailed):
            predictor.check_golden()
        with pytest.raises(GateFailed, match="NaN"):
            predictor.predict_batch(noise(3))


def test_an_engine_that_answers_probabilities_predicts_what_one_of_logits_does(sealed: Sealed) -> None:
    frames = [picture("red"), picture("blue"), *noise(3)]
    with load(sealed()) as plain, load(sealed(Kind(fused=True))) as fused:
        expected, found = plain.predict_batch(frames, top_k=3), fused.predict_batch(frames, top_k=3)
        assert fused.check_golden() < 1e-5, "the golden logits of its bundle are those of the plain engine"
    for one, other in zip(expected, found, strict=True):
        assert one.label == other.label
        assert np.isfinite(other.logits).all()
        np.testing.assert_allclose(
            [share for _, share in other.top_k], [share for _, share in one.top_k], rtol=1e-3, atol=1e-37
        )


def test_a_pending_bundle_says_what_is_left(sealed: Sealed) -> None:
    with pytest.raises(EnvironmentLacks, match="no engine yet: TensorRT is not on this host") as caught:
        edgetl.load(sealed(Kind(pending=True)))
    assert caught.value.exit_code == 5
    assert caught.value.hint == "copy it; then edgetl compile it"


def test_without_opencv_arrays_work_and_a_file_says_what_to_install(
    sealed: Sealed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    frame = noise(1, 130, 170)[0]
    with load(sealed()) as predictor:
        expected = predictor.predict(frame).logits
        assert cv2.imwrite(str(tmp_path / "p.png"), frame)
        monkeypatch.setitem(sys.modules, "cv2", None)
        preprocess.opencv.cache_clear()
        try:
            np.testing.assert_array_equal(predictor.predict(frame).logits, expected)
            with pytest.raises(EnvironmentLacks, match="OpenCV") as caught:
                predictor.predict(tmp_path / "p.png")
        finally:
            preprocess.opencv.cache_clear()
    assert caught.value.exit_code == 5
    assert "pip install" in caught.value.hint


@pytest.mark.parametrize("kind", [*KINDS, Kind(crop=(7, 8)), Kind(color="bgr")], ids=str)
def test_golden_vectors_hold_for_what_was_built(sealed: Sealed, kind: Kind) -> None:
    with load(sealed(kind)) as predictor:
        assert predictor.check_golden() < 1e-5


@pytest.mark.parametrize("damage", ["other", "nan", "shape", "empty", "pickle"])
def test_golden_vectors_that_the_engine_does_not_give_are_noticed(copied: Sealed, damage: str) -> None:
    folder = copied()
    with np.load(folder / bundle.GOLDEN) as stored:
        body = dict(stored)
    if damage == "other":
        body["logits"] = body["logits"][:, ::-1]
    elif damage == "nan":
        body["logits"] = body["logits"] * np.float32(np.nan)
    elif damage == "shape":
        body["inputs"] = body["inputs"][:, 1:]
    elif damage == "empty":
        body = {name: array[:0] for name, array in body.items()}
    else:
        body["logits"] = np.array([{"a": 1}], dtype=object)
    np.savez(folder / bundle.GOLDEN, **body)
    reseal(folder)
    with load(folder) as predictor, pytest.raises((GateFailed, BundleError), match="golden"):
        predictor.check_golden()


def reseal(folder: Path) -> None:
    (folder / bundle.MANIFEST).unlink()
    bundle.seal(folder, manifest())


def test_parts_that_do_not_belong_together_are_refused(copied: Sealed) -> None:
    folder = copied()
    (folder / bundle.LABELS).write_bytes(digest.canonical_json(["red", "green"]))
    reseal(folder)
    with pytest.raises(BundleError, match="3 classes, the bundle names 2"):
        load(folder)
    folder = copied(name="other")
    body = (folder / bundle.PREPROCESS).read_text().replace(f'"height":{SIDE}', '"height":32')
    (folder / bundle.PREPROCESS).write_text(body)
    reseal(folder)
    with pytest.raises(BundleError, match="the preprocessing gives"):
        load(folder)


def test_an_archive_is_unpacked_for_as_long_as_it_is_open(
    sealed: Sealed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    packed = archive.pack(sealed(), tmp_path / "bundle.tar")
    predictor = load(packed)
    assert predictor.predict(picture("blue"), color="rgb").label == "blue"
    assert list((tmp_path / "scratch").iterdir())
    predictor.close()
    assert not list((tmp_path / "scratch").iterdir())
    packed.write_bytes(packed.read_bytes()[:3000])
    with pytest.raises(BundleError):
        load(packed)
    assert not list((tmp_path / "scratch").iterdir())


def test_the_runtime_needs_none_of_what_builds(sealed: Sealed, tmp_path: Path) -> None:
    """A process where those names cannot be imported opens a bundle and predicts."""
    walled = ("torch", "torchvision", "timm", "onnx", "typer", "rich", "yaml", "scipy", "sklearn", "cv2")
    program = (
        "import sys\n"
        f"for name in {walled!r}: sys.modules[name] = None\n"
        "import numpy as np, edgetl\n"
        f"with edgetl.load({str(sealed(Kind(backend='openvino')))!r}) as predictor:\n"
        f"    print(predictor.predict(np.zeros(({SIDE}, {SIDE}, 3), np.uint8)).label)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in LABELS
