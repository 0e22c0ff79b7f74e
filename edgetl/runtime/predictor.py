"""A bundle at work: pictures in, labels out; numpy and one vendor library."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from edgetl.errors import GateFailed, InputError
from edgetl.runtime import archive, preprocess
from edgetl.runtime.bundle import GOLDEN, Bundle, open_bundle

if TYPE_CHECKING:
    from edgetl.backends.seam import Request, Session

__all__ = ["Prediction", "Predictor", "load"]

Image = npt.NDArray[np.uint8]
Color = Literal["bgr", "rgb"]
GOLDEN_TOLERANCE = 0.05
"""Largest difference of a logit to the golden ones, as a share of the largest: another CPU rounds otherwise, and
INT8 moves by a level here and there; a broken engine is off by its whole range."""


class Prediction(NamedTuple):
    """What the engine says of one picture.

    Attributes
    ----------
    label, probability : the likeliest class. top_k : the likeliest classes with their probability.
    logits : float32 (classes,).
    """

    label: str
    probability: float
    top_k: tuple[tuple[str, float], ...]
    logits: npt.NDArray[np.float32]


class Predictor:
    """An opened engine with the preprocessing and the labels of its bundle; safe from any thread.

    Parameters
    ----------
    bundle : opened and checked.
    owned : a folder to remove on closing (an unpacked archive).
    """

    def __init__(self, bundle: Bundle, *, owned: Path | None = None) -> None:
        from edgetl.backends import seam
        from edgetl.devices import DeviceProfile

        self.bundle = bundle
        self._owned = owned
        engine = bundle.engine
        profile = DeviceProfile(
            name=bundle.manifest.device,
            backend=engine.backend,
            device=engine.device,
            precision=engine.precision,
        )
        self.session: Session = seam.find(engine.backend).open(engine, bundle.engine_folder, profile)
        self._rows = engine.inputs[0].shape[0] or 1
        self._input = engine.inputs[0].name
        self._output = engine.outputs[0].name
        self._local = threading.local()

    def predict(self, source: Image | Path | str, *, color: Color = "bgr", top_k: int = 5) -> Prediction:
        """Classify one picture.

        Parameters
        ----------
        source : uint8 (H, W, 3) of any size, or a file.
        color : channel order of an array; OpenCV gives ``bgr``.
        top_k : classes to list.

        Raises
        ------
        InputError : the array is not uint8 (H, W, 3), or the file cannot be decoded.
        GateFailed : the engine answers NaN.
        """
        request: Request | None = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._new_request()
        self._feed(request, source, color)
        request.start()
        return self._answer(request.wait()[self._output][0], top_k)

    def predict_batch(
        self, sources: Sequence[Image | Path | str], *, color: Color = "bgr", top_k: int = 5
    ) -> list[Prediction]:
        """Classify several pictures, preprocessing one while the engine works on another."""
        return list(self.stream(sources, color=color, top_k=top_k))

    def stream(
        self, sources: Iterable[Image | Path | str], *, color: Color = "bgr", top_k: int = 5, ahead: int = 2
    ) -> Iterator[Prediction]:
        """Predictions in the order of the frames; the next frames are prepared while the engine works.

        Parameters
        ----------
        ahead : inferences in flight; the iterator is read at most so far ahead.
        """
        idle = [self._new_request() for _ in range(ahead)]
        flying: deque[Request] = deque()
        try:
            for source in sources:
                if not idle:
                    done = flying.popleft()
                    yield self._answer(done.wait()[self._output][0], top_k)
                    idle.append(done)
                request = idle.pop()
                self._feed(request, source, color)
                request.start()
                flying.append(request)
            while flying:
                yield self._answer(flying.popleft().wait()[self._output][0], top_k)
        finally:
            while flying:  # a request must not outlive its buffers
                flying.popleft().wait()

    def warm_up(self, runs: int = 3) -> None:
        """Run on grey frames, so that the first real one is not the slow one."""
        grey = np.full((self.bundle.preprocess.height, self.bundle.preprocess.width, 3), 128, np.uint8)
        for _ in range(runs):
            self.predict(grey)

    def check_golden(self) -> float:
        """Largest difference to the logits that the build stored, as a share of the largest logit.

        Raises
        ------
        GateFailed : another class wins, or the difference is over ``GOLDEN_TOLERANCE``.
        """
        with np.load(self.bundle.folder / GOLDEN, allow_pickle=False) as stored:
            inputs, expected = stored["inputs"], stored["logits"]
        found = np.stack([self.predict(picture, color="rgb").logits for picture in inputs])
        worst = float(np.abs(found - expected).max() / max(float(np.abs(expected).max()), 1e-12))
        flips = int((found.argmax(axis=1) != expected.argmax(axis=1)).sum())
        if worst > GOLDEN_TOLERANCE:
            raise GateFailed(
                f"golden vectors differ by {worst:.1e} of the largest logit ({flips} of {len(inputs)} classes changed), "
                f"at most {GOLDEN_TOLERANCE:g} is allowed",
                hint="this engine does not compute what was verified: build it again on this host",
                difference=worst,
            )
        return worst

    def close(self) -> None:
        """Give the engine back; a second call does nothing."""
        self._local = threading.local()
        self.session.close()
        if self._owned is not None:
            shutil.rmtree(self._owned, ignore_errors=True)
            self._owned = None

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _new_request(self) -> Request:
        request = self.session.request()
        if self._input not in request.inputs:  # a dynamic batch: this runtime feeds one at a time
            shape = (1, self.bundle.preprocess.height, self.bundle.preprocess.width, 3)
            request.fill({self._input: np.zeros(shape, np.uint8)})
        return request

    def _feed(self, request: Request, source: Image | Path | str, color: Color) -> None:
        frame: npt.NDArray[Any]
        if isinstance(source, (str, Path)):
            from edgetl.data.decode import read_image

            frame, color = read_image(Path(source)), "rgb"
        else:
            frame = source
        if color not in ("bgr", "rgb"):
            raise InputError(f"color is {color!r}, expected 'bgr' or 'rgb'", hint="OpenCV's frames are bgr")
        rule = self.bundle.preprocess
        buffer = request.inputs[self._input]
        preprocess.apply(frame, rule, out=buffer[0], swap=color != rule.color)

    def _answer(self, logits: npt.NDArray[np.float32], top_k: int) -> Prediction:
        logits = np.array(logits)
        if not np.isfinite(logits).all():
            raise GateFailed(
                "the engine answers NaN or infinity", hint="edgetl verify BUNDLE says whether it is whole"
            )
        powers = np.exp(logits - logits.max())
        shares = powers / powers.sum()
        order = np.argsort(-shares, kind="stable")[:top_k]
        labels = self.bundle.labels
        ranked = tuple((labels[index], float(shares[index])) for index in order)
        return Prediction(ranked[0][0], ranked[0][1], ranked, logits)


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
    unpacked = archive.unpack(place, Path(tempfile.mkdtemp(prefix="edgetl-")) / place.stem)
    try:
        return Predictor(open_bundle(unpacked), owned=unpacked.parent)
    except BaseException:
        shutil.rmtree(unpacked.parent, ignore_errors=True)
        raise
