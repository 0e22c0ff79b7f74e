"""A bundle at work: pictures in, labels out; numpy and one vendor library."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from edgetl.errors import BundleError, EdgetlError, InputError
from edgetl.runtime import golden, preprocess
from edgetl.runtime.bundle import Bundle, open_bundle
from edgetl.runtime.prediction import (
    PROBABILITIES,
    Decision,
    Prediction,
    as_logits,
    normalised,
    of_logits,
    of_row,
)
from edgetl.types import Engine

if TYPE_CHECKING:
    from edgetl.backends.seam import Request, Session

__all__ = ["Predictor", "load"]

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Color = Literal["bgr", "rgb"]


class _Slot:
    """A request, the pictures that go into it and the logits that come out."""

    def __init__(self, request: Request, engine: Engine, *, several: bool) -> None:
        self._request = request
        self._input = engine.inputs[0].name
        self._outputs = [output.name for output in engine.outputs]
        self._several = several
        held = request.inputs.get(self._input)
        self._copied = held is None  # a dynamic batch has no buffer to write into: one picture at a time
        shape = [dim or 1 for dim in engine.inputs[0].shape]
        self.pictures: Image = np.zeros(shape, np.uint8) if held is None else held

    def start(self) -> None:
        """Begin the inference on ``pictures``."""
        self._hand_over()
        self._request.start()

    def wait(self, count: int = 1) -> Floats:
        """The first rows of what was started, float32 (count, classes), of the caller's own; of several tasks all."""
        return self._logits(self._request.wait(), count)

    def infer(self) -> Floats:
        """The first row of the inference on ``pictures``, (1, classes), here and now."""
        self._hand_over()
        return self._logits(self._request.infer(), 1)

    def _hand_over(self) -> None:
        if self._copied:
            self._request.fill({self._input: self.pictures})

    def _logits(self, told: Mapping[str, npt.NDArray[Any]], count: int) -> Floats:
        first = self._outputs[0]
        if self._several:
            return np.concatenate([told[name][:count] for name in self._outputs], axis=1, dtype=np.float32)
        return as_logits(first, np.array(told[first][:count], np.float32))


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
        self._tasks = bundle.tasks
        self._engine = bundle.engine
        _check_fit(self._engine, bundle)
        self._decision = _decision(bundle)
        self.session: Session = seam.find(self._engine.backend).open(self._engine, bundle.engine_folder)
        self._rows = self._engine.inputs[0].shape[0] or 1
        self._idle: deque[_Slot] = deque()
        self._closed = False
        self._opening = threading.Lock()  # no request is made of an engine that is being closed
        self._clean = weakref.finalize(self, shutil.rmtree, owned, True) if owned is not None else None

    def predict(
        self, source: Image | Path | str, *, color: Color = "bgr", top_k: int = 5
    ) -> Prediction | Any:
        """Classify one picture; of a bundle with several tasks, the answer to each.

        Parameters
        ----------
        source : uint8 (H, W, 3) of any size, or a file.
        color : channel order of an array; OpenCV gives ``bgr``.
        top_k : classes to list.

        Returns
        -------
        A ``Prediction``; where ``bundle.tasks`` has some, ``Answers``: by their names ``Prediction`` or ``Value``.

        Raises
        ------
        InputError : the array is not uint8 (H, W, 3), the file cannot be decoded, or the predictor is closed.
        GateFailed : the engine answers NaN.
        """
        _check_options(color, top_k)
        slot = self._take()
        self._write(slot.pictures[0], source, color)
        logits = slot.infer()
        self._give_back(slot)
        return self._answer(logits[0], top_k)

    def _answer(self, row: Floats, top_k: int) -> Prediction | Any:
        if self._tasks:
            return of_row(row, self._tasks, top_k)
        return of_logits(row, self.bundle.labels, top_k, self._decision)

    def predict_batch(
        self, sources: Sequence[Image | Path | str], *, color: Color = "bgr", top_k: int = 5
    ) -> list[Prediction | Any]:
        """Classify several pictures, preprocessing one while the engine works on another."""
        return list(self.stream(sources, color=color, top_k=top_k))

    def stream(
        self, sources: Iterable[Image | Path | str], *, color: Color = "bgr", top_k: int = 5, ahead: int = 2
    ) -> Iterator[Prediction | Any]:
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
    ) -> Iterator[Prediction | Any]:
        flying: deque[tuple[_Slot, int]] = deque()
        try:
            while group := list(islice(sources, self._rows)):
                answers = self._land(flying) if len(flying) == ahead else ()
                slot = self._take()
                for picture, source in zip(slot.pictures, group):
                    self._write(picture, source, color)
                slot.start()
                flying.append((slot, len(group)))
                yield from (self._answer(logits, top_k) for logits in answers)
            while flying:
                yield from (self._answer(logits, top_k) for logits in self._land(flying))
        finally:
            while flying:  # nobody wants the rest, but a request must not outlive its buffers
                with contextlib.suppress(EdgetlError):
                    self._land(flying)

    def _land(self, flying: deque[tuple[_Slot, int]]) -> Floats:
        """Wait for the oldest inference in flight."""
        slot, count = flying.popleft()
        logits = slot.wait(count)
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
        GateFailed : they differ by more than ``golden.check`` allows, or the engine answers NaN.
        BundleError : the bundle's golden vectors do not fit its engine.
        """
        kept = self.bundle.golden()
        inputs, expected = kept["inputs"], kept["logits"]
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
        exact = kept["logits_f32"]
        if self._engine.outputs[0].name == PROBABILITIES:
            expected, exact = normalised(expected), normalised(exact)
        return golden.check(
            self._tasks,
            lambda taken: np.concatenate([self._raw(one) for one in taken]),
            inputs,
            expected,
            exact,
        )

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
            return _Slot(self.session.request(), self._engine, several=bool(self._tasks))

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
        logits = slot.infer()
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
    if bundle.tasks:
        _check_outputs(engine, bundle)
    elif given.shape[-1] not in (None, len(bundle.labels)):
        raise BundleError(
            f"the engine answers {given.shape[-1]} classes, the bundle names {len(bundle.labels)}",
            hint="build the bundle again",
        )


def _check_outputs(engine: Engine, bundle: Bundle) -> None:
    """Outputs are named and as wide as the tasks, in their order."""
    given = [(output.name, output.shape[-1]) for output in engine.outputs]
    wanted = [(task.name, task.width) for task in bundle.tasks]
    if [name for name, _ in given] != [name for name, _ in wanted] or any(
        found not in (None, width) for (_, found), (_, width) in zip(given, wanted)
    ):
        raise BundleError(
            f"the engine has the outputs {given}, the bundle's tasks are {wanted}",
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
