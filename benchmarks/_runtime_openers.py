"""What the benchmarks of the runtime time; each opener returns the call, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import openvino as ov

from edgetl import runtime
from edgetl.backends.openvino import OpenVINOSession
from edgetl.runtime.bundle import Bundle

__all__ = ["area_frame", "pil_frame", "predict_frame", "predict_input", "raw", "request", "session_run"]

Call = Callable[[], object]
Image = npt.NDArray[np.uint8]
FRAME = (1080, 1920, 3)
SHORT_SIDE = 256
"""What the usual pipelines scale a frame to, before they cut the input from its centre."""


def _noise(shape: tuple[int, ...]) -> Image:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def predict_frame(bundle: str) -> Call:
    """A 1080p BGR frame to its label, by the public call."""
    predictor, frame = runtime.load(bundle), _noise(FRAME)
    return lambda: predictor.predict(frame)


def predict_input(bundle: str) -> Call:
    """A picture of the engine's own size to its label, by the public call."""
    opened = runtime.open_bundle(Path(bundle))
    rule = opened.preprocess
    predictor, frame = runtime.load(opened), _noise((rule.height, rule.width, 3))
    return lambda: predictor.predict(frame)


def area_frame(bundle: str) -> Call:
    """The usual OpenCV pipeline before the same engine: the whole frame by INTER_AREA, then the centre of it."""

    def scaled(frame: Image, width: int, height: int) -> Image:
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

    return _usual(bundle, scaled)


def pil_frame(bundle: str) -> Call:
    """torchvision's evaluation pipeline before the same engine: the whole frame by Pillow, then the centre of it."""
    from PIL import Image as Pillow

    def scaled(frame: Image, width: int, height: int) -> Image:
        picture = Pillow.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        return np.asarray(picture.resize((width, height), Pillow.Resampling.BILINEAR), np.uint8)

    return _usual(bundle, scaled)


def _usual(bundle: str, scaled: Callable[[Image, int, int], Image]) -> Call:
    opened = runtime.open_bundle(Path(bundle))
    taken = _session(opened).request()
    pixels, frame = taken.inputs["input"], _noise(FRAME)
    side = opened.preprocess.height
    width = SHORT_SIDE * FRAME[1] // FRAME[0]
    top, left = (SHORT_SIDE - side) // 2, (width - side) // 2

    def once() -> int:
        pixels[0] = scaled(frame, width, SHORT_SIDE)[top : top + side, left : left + side]
        taken.start()
        return int(taken.wait()["logits"].argmax())

    return once


@cache
def _compiled(folder: str, device: str, config: tuple[tuple[str, str], ...]) -> Any:
    """One compiled model for all contenders of a process: an overhead is not to be mixed with its luck."""
    return ov.Core().compile_model(f"{folder}/model.xml", device, dict(config))


def _model(bundle: Bundle) -> Any:
    engine = bundle.engine
    return _compiled(str(bundle.engine_folder), engine.device, tuple(sorted(engine.config.items())))


def _session(bundle: Bundle) -> OpenVINOSession:
    return OpenVINOSession(bundle.engine, _model(bundle))


def raw(bundle: str) -> Call:
    """OpenVINO alone: one request whose tensor is set before."""
    opened = runtime.open_bundle(Path(bundle))
    taken = _model(opened).create_infer_request()
    shape = [dim or 1 for dim in opened.engine.inputs[0].shape]
    taken.set_input_tensor(ov.Tensor(_noise(tuple(shape))))

    def once() -> object:
        taken.infer()
        return taken.get_output_tensor().data

    return once


def request(bundle: str) -> Call:
    """A request of ours, whose buffer is filled before."""
    opened = runtime.open_bundle(Path(bundle))
    taken = _session(opened).request()
    taken.inputs["input"][...] = _noise(taken.inputs["input"].shape)

    def once() -> object:
        taken.start()
        return taken.wait()["logits"]

    return once


def session_run(bundle: str) -> Call:
    """``Session.run``: names, dtypes and shapes checked, pixels copied in, logits copied out, safe for threads."""
    opened = runtime.open_bundle(Path(bundle))
    session = _session(opened)
    shape = [dim or 1 for dim in opened.engine.inputs[0].shape]
    feed = {"input": _noise(tuple(shape))}
    return lambda: session.run(feed)["logits"]
