"""A bundle at work: pictures in, labels out; numpy and one vendor library."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from edgetl.errors import BundleError, EdgetlError, GateFailed, InputError
from edgetl.runtime import preprocess
from edgetl.runtime.bundle import Bundle, open_bundle
from edgetl.runtime.prediction import PROBABILITIES, Decision, Prediction, as_logits, normalised, of_logits
from edgetl.types import Engine

if TYPE_CHECKING:
    from edgetl.backends.seam import Request, Session

__all__ = ["Predictor", "load"]

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Color = Literal["bgr", "rgb"]
GOLDEN_TOLERANCE = 0.05
"""Largest difference of a logit to the golden ones, as a share of the largest: another CPU rounds otherwise, and
INT8 moves by a level here and there; a broken engine is off by its whole range."""
AS_NEAR = 1.5
"""Another vendor's INT8 kernels may move logits further than that, as two levels of optimization of one runtime do, but
no further from f32 than by so many times what INT8 cost where it was verified."""
POOR = 0.25
"""INT8 that cost more than this share of how far logits lie from their mean, by root mean square, is nothing to measure
another engine by."""


class _Slot:
    """A request, the pictures that go into it and the logits that come out."""

    def __init__(self, request: Request, engine: Engine) -> None:
        self._request = request
        self._input = engine.inputs[0].name
        self._output = engine.outputs[0].name
        held = request.inputs.get(self._input)
        self._copied = held is None  # a dynamic batch has no buffer to write into: one picture at a time
        shape = [dim or 1 for dim in engine.inputs[0].shape]
        self.pictures: Image = np.zeros(shape, np.uint8) if held is None else held

    def start(self) -> None:
        """Begin the inference on ``pictures``."""
        if self._copied:
            self._request.fill({self._input: self.pictures})
        self._request.start()

    def logits(self, count: int = 1) -> Floats:
        """The first rows of the answer, float32 (count, classes), of the caller's own."""
        return as_logits(self._output, np.array(self._request.wait()[self._output][:count], np.float32))


class Predictor:
    """An opened engine with the preprocessing and the labels of its bundle; safe from any thread.

    Parameters
    ----------
    bundle : opened and checked.
    owned : a folder to remove on closing (an unpacked archive).

    Raises
    ------
    EnvironmentLacks : the backend or device is not on this host, or there is no engine yet.
    BundleError : engine, preprocessing and labels do not belong together.
    """

    def __init__(self, bundle: Bundle, *, owned: Path | None = None) -> None:
        from edgetl.backends import seam

        self.bundle = bundle
        self._engine = bundle.engine
        _check_fit(self._engine, bundle)
        self._decision = _decision(bundle)
        self.session: Session = seam.find(self._engine.backend).open(self._engine, bundle.engine_folder)
        self._rows = self._engine.inputs[0].shape[0] or 1
        self._idle: deque[_Slot] = deque()
        self._closed = False
        self._opening = threading.Lock()  # no request is made of an engine that is being closed
        self._clean = weakref.finalize(self, shutil.rmtree, owned, True) if owned is not None else None

    def predict(self, source: Image | Path | str, *, color: Color = "bgr", top_k: int = 5) -> Prediction:
        """Classify one picture.

        Parameters
        ----------
        source : uint8 (H, W, 3) of any size, or a file.
        color : channel order of an array; OpenCV gives ``bgr``.
        top_k : classes to list.

        Raises
        ------
        InputError : the array is not uint8 (H, W, 3), the file cannot be decoded, or the predictor is closed.
        GateFailed : the engine answers NaN.
        """
        _check_options(color, top_k)
        slot = self._take()
        self._write(slot.pictures[0], source, color)
        slot.start()
        logits = slot.logits()
        self._give_back(slot)
        return of_logits(logits[0], self.bundle.labels, top_k, self._decision)

    def predict_batch(
        self, sources: Sequence[Image | Path | str], *, color: Color = "bgr", top_k: int = 5
    ) -> list[Prediction]:
        """Classify several pictures, preprocessing one while the engine works on another."""
        return list(self.stream(sources, color=color, top_k=top_k))

    def stream(
        self, sources: Iterable[Image | Path | str], *, color: Color = "bgr", top_k: int = 5, ahead: int = 2
    ) -> Iterator[Prediction]:
        """Predictions in the order of the frames; the next frames are prepared while the engine works.

        An engine with a fixed batch takes so many frames at once; the last batch may be partly filled.

        Parameters
        ----------
        ahead : inferences in flight; the iterator is read at most so far ahead.
        """
        _check_options(color, top_k)
        if ahead < 1:
            raise InputError(f"ahead is {ahead}, expected 1 or more", hint="2 overlaps with little delay")
        return self._stream(iter(sources), color, top_k, ahead)

    def _stream(
        self, sources: Iterator[Image | Path | str], color: Color, top_k: int, ahead: int
    ) -> Iterator[Prediction]:
        flying: deque[tuple[_Slot, int]] = deque()
        labels = self.bundle.labels
        try:
            while group := list(islice(sources, self._rows)):
                answers = self._land(flying) if len(flying) == ahead else ()
                slot = self._take()
                for picture, source in zip(slot.pictures, group):
                    self._write(picture, source, color)
                slot.start()
                flying.append((slot, len(group)))
                yield from (of_logits(logits, labels, top_k, self._decision) for logits in answers)
            while flying:
                yield from (of_logits(logits, labels, top_k, self._decision) for logits in self._land(flying))
        finally:
            while flying:  # nobody wants the rest, but a request must not outlive its buffers
                with contextlib.suppress(EdgetlError):
                    self._land(flying)

    def _land(self, flying: deque[tuple[_Slot, int]]) -> Floats:
        """Wait for the oldest inference in flight."""
        slot, count = flying.popleft()
        logits = slot.logits(count)
        self._give_back(slot)
        return logits

    def warm_up(self, runs: int = 3) -> None:
        """Run on grey frames, so that the first real one is not the slow one."""
        grey = np.full((self.bundle.preprocess.height, self.bundle.preprocess.width, 3), 128, np.uint8)
        for _ in range(runs):
            self.predict(grey)

    def check_golden(self) -> float:
        """Largest difference to the logits that the build stored, as a share of the largest logit.

        The stored inputs are the engine's own: they are past the preprocessing.

        Raises
        ------
        GateFailed : the difference is over ``GOLDEN_TOLERANCE`` and the answers are further from those of f32, by root
            mean square, than ``AS_NEAR`` times those that were stored; or the engine answers NaN.
        BundleError : the bundle's golden vectors do not fit its engine.
        """
        golden = self.bundle.golden()
        inputs, expected = golden["inputs"], golden["logits"]
        wanted = (len(inputs), len(self.bundle.labels))
        if (
            not len(inputs)
            or inputs.shape[1:] != self._engine.inputs[0].shape[1:]
            or expected.shape != wanted
        ):
            raise BundleError(
                f"golden vectors are {inputs.shape} and {expected.shape}: not this engine's",
                hint="build it again",
            )
        exact = golden["logits_f32"]
        if self._engine.outputs[0].name == PROBABILITIES:
            expected, exact = normalised(expected), normalised(exact)
        found, worst = self._held_against(inputs, expected)
        if not (worst <= GOLDEN_TOLERANCE or _is_as_near(found, expected, exact)):  # so that NaN fails, too
            raise self._blamed(inputs, expected, found, worst)
        return worst

    def _blamed(
        self,
        inputs: npt.NDArray[np.uint8],
        expected: npt.NDArray[np.float32],
        found: npt.NDArray[np.float32],
        worst: float,
    ) -> GateFailed:
        """Why the engine's answers are not the stored ones, as far as they tell."""
        swapped = self._held_against(np.ascontiguousarray(inputs[..., ::-1]), expected)[1]
        if swapped <= GOLDEN_TOLERANCE:
            return GateFailed(
                f"red and blue are swapped in this engine: golden vectors differ by {worst:.1e} of the largest "
                f"logit as they are, and by {swapped:.1e} with their channels in the other order",
                hint="its network was exported for the other order: build it again on this host",
                difference=worst,
            )
        flips = int((found.argmax(axis=1) != expected.argmax(axis=1)).sum())
        return GateFailed(
            f"golden vectors differ by {worst:.1e} of the largest logit ({flips} of {len(inputs)} classes changed); "
            f"at most {GOLDEN_TOLERANCE:g} is allowed, or {AS_NEAR:g} times what lies between the stored ones and f32",
            hint="this engine does not compute what was verified: build it again on this host",
            difference=worst,
        )

    def _held_against(
        self, inputs: npt.NDArray[np.uint8], expected: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], float]:
        """Logits for engine inputs, and their largest difference to others, as a share of the largest logit."""
        found = np.concatenate([self._raw(picture) for picture in inputs])
        return found, float(np.abs(found - expected).max() / max(float(np.abs(expected).max()), 1e-12))

    def close(self) -> None:
        """Give the engine back; a second call does nothing. What other threads have in flight still ends."""
        with self._opening:
            self._closed = True
            self._idle.clear()
            self.session.close()
        if self._clean is not None:
            self._clean()

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self) -> _Slot:
        """A slot that nobody else has: there are as many as were ever needed at once."""
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        with self._opening:
            if self._closed:
                raise InputError("the predictor is closed", hint="edgetl.load opens the bundle again")
            return _Slot(self.session.request(), self._engine)

    def _give_back(self, slot: _Slot) -> None:
        """Only after it answered: one that failed or was interrupted may still be running, and is dropped."""
        if not self._closed:
            self._idle.append(slot)

    def _write(self, picture: Image, source: Image | Path | str, color: Color) -> None:
        """Put a picture of any size into a row of the engine's input."""
        frame: npt.NDArray[Any]
        if isinstance(source, (str, Path)):
            from edgetl.data.decode import read_image

            frame, color = read_image(Path(source)), "rgb"
        else:
            frame = source
        rule = self.bundle.preprocess
        preprocess.apply(frame, rule, out=picture, swap=color != rule.color)

    def _raw(self, picture: Image) -> Floats:
        """Logits, (1, classes), of a picture that is the engine's input already."""
        slot = self._take()
        slot.pictures[0] = picture
        slot.start()
        logits = slot.logits()
        self._give_back(slot)
        return logits


def _check_options(color: str, top_k: int) -> None:
    if color not in ("bgr", "rgb"):
        raise InputError(f"color is {color!r}, expected 'bgr' or 'rgb'", hint="OpenCV's frames are bgr")
    if top_k < 1:
        raise InputError(f"top_k is {top_k}, expected 1 or more", hint="1 gives the likeliest class")


def _check_fit(engine: Engine, bundle: Bundle) -> None:
    """Refuse parts that were not made for each other: the answer would be wrong, or an index out of range."""
    rule, taken, given = bundle.preprocess, engine.inputs[0], engine.outputs[0]
    wanted = (rule.height, rule.width, 3)
    if taken.dtype != "uint8" or taken.shape[1:] != wanted:
        raise BundleError(
            f"the engine takes {taken.dtype} {taken.shape}, the preprocessing gives uint8 {wanted}",
            hint="build the bundle again",
        )
    if given.shape[-1] not in (None, len(bundle.labels)):
        raise BundleError(
            f"the engine answers {given.shape[-1]} classes, the bundle names {len(bundle.labels)}",
            hint="build the bundle again",
        )


def _decision(bundle: Bundle) -> Decision | None:
    """How the bundle decides between its two classes, if by more than the likelier one.

    Raises
    ------
    BundleError : its threshold is of another class, or is no probability.
    """
    point, labels = bundle.manifest.operating_point, bundle.labels
    if point is None:
        return None
    if len(labels) != 2 or point.positive not in labels or not 0 < point.threshold <= 1:
        raise BundleError(
            f"the threshold {point.threshold:g} of {point.positive!r} does not fit the classes {', '.join(labels[:5])}",
            hint="build the bundle again",
        )
    return Decision(labels.index(point.positive), point.threshold)


def load(path: str | Path | Bundle) -> Predictor:
    """Open a bundle, its folder or its archive, and make its engine ready.

    Raises
    ------
    BundleError : it is not byte for byte what was built.
    EnvironmentLacks : its backend or device is not on this host, or it has no engine yet.
    """
    if isinstance(path, Bundle):
        return Predictor(path)
    place = Path(path)
    if not place.is_file():
        return Predictor(open_bundle(place))
    from edgetl.runtime import archive

    scratch = Path(tempfile.mkdtemp(prefix="edgetl-"))
    try:
        return Predictor(open_bundle(archive.unpack(place, scratch / place.stem)), owned=scratch)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _is_as_near(found: Floats, stored: Floats, exact: Floats) -> bool:
    """Whether answers are about as near to those of f32 as the stored ones are."""
    cost = _rms(stored - exact)
    spread = _rms(exact - exact.mean(axis=1, keepdims=True))
    return cost <= POOR * spread and _rms(found - exact) <= AS_NEAR * cost


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
