"""A bundle's engine under corruptions, and the file that keeps what was found: beside the bundle, which is sealed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy.typing as npt

from edgetl import asked
from edgetl.backends import seam
from edgetl.backends.seam import Session
from edgetl.cache import write_whole
from edgetl.candidate import precision_of
from edgetl.devices import DeviceProfile
from edgetl.errors import EnvironmentLacks, InputError
from edgetl.pipeline import Progress, Silent
from edgetl.report import pictures_robustness
from edgetl.runtime import Predictor
from edgetl.runtime.bundle import Bundle
from edgetl.types import Robustness
from edgetl.verify import robustness
from edgetl.verify.robustness import Question, Subject

__all__ = ["Order", "check", "measure", "read"]

Array = npt.NDArray[Any]

MAX_BYTES = 4 << 20
"""A hundred conditions are some thirty kilobytes."""
TASK = "classify"
FLOAT, INT8 = "model.fp32.onnx", "model.int8.onnx"


@dataclass(frozen=True)
class Order:
    """What to measure, where to keep it (``.json``, ``.svg``), and who watches."""

    question: Question
    out: Path | None = None
    picture: Path | None = None
    progress: Progress = field(default_factory=Silent)


def check(order: Order, bundle: Bundle, data: str | None) -> None:
    """Refuse what cannot be done now, not after minutes of measuring.

    Raises
    ------
    InputError : no data, a file of another format, or a bundle that is for another task than classifying pictures.
    EnvironmentLacks : there is no such folder.
    """
    if data is None:
        raise InputError(
            "--corruptions measures accuracy, which takes --data", hint="--data DIR with labelled pictures"
        )
    if bundle.manifest.task != TASK:
        raise InputError(
            f"--corruptions changes pictures that are classified, this bundle is for the task {bundle.manifest.task!r}",
            hint="edgetl verify BUNDLE --data DIR   without --corruptions",
        )
    asked.svg(order.picture, "--picture")
    if order.out is not None and order.out.suffix != ".json":
        raise InputError(
            f"--out {order.out} is not a JSON file", hint=f"--out {order.out.with_suffix('.json')}"
        )
    for place in (order.out, order.picture):
        if place is not None and not place.absolute().parent.is_dir():
            raise EnvironmentLacks(f"there is no folder {place.parent}", hint=f"mkdir -p {place.parent}")


def measure(
    predictor: Predictor, labels: Array, pictures: Array, order: Order, profile: DeviceProfile
) -> Robustness:
    """The engine of a bundle against its f32 engine, which is compiled now from the bundle's own float model.

    Parameters
    ----------
    labels : (N,) of the test images. pictures : uint8 (N, H, W, 3), as the engine takes them.
    profile : what the bundle's models are compiled for.

    Raises
    ------
    GateFailed : an engine answers NaN. BackendError : the vendor refused a model of the bundle.
    """
    bundle, progress = predictor.bundle, order.progress
    progress.planned(["corrupt"])
    progress.started("corrupt")
    with (
        _trial(bundle, FLOAT, "f32", profile) as reference,
        _candidate(predictor, profile) as (name, candidate),
    ):
        right = robustness.answers(
            reference,
            candidate,
            labels,
            pictures,
            order.question,
            bgr=bundle.preprocess.color != "rgb",
            on_progress=lambda done, total: progress.advanced("corrupt", done, total),
        )
    manifest = bundle.manifest
    subject = Subject(manifest.name, manifest.sha256, candidate=name, test_images=len(labels))
    found = robustness.judge(*right, order.question, subject)
    if order.out is not None:
        write_whole(order.out, msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    if order.picture is not None:
        write_whole(order.picture, pictures_robustness.accuracy(found).file().encode())
    return found


@contextmanager
def _trial(bundle: Bundle, model: str, precision: str, profile: DeviceProfile) -> Iterator[Session]:
    asked_for = msgspec.structs.replace(profile, precision=precision)
    session = seam.find(profile.backend).trial(bundle.folder / model, asked_for)
    try:
        yield session
    finally:
        session.close()


@contextmanager
def _candidate(predictor: Predictor, profile: DeviceProfile) -> Iterator[tuple[str, Session]]:
    """The INT8 engine: what ships, or, where that is float, the bundle's INT8 model compiled now."""
    bundle = predictor.bundle
    shipped = bundle.engine.precision
    if precision_of(shipped) == "int8" or INT8 not in bundle.manifest.files:
        yield shipped, predictor.session
        return
    with _trial(bundle, INT8, "int8", profile) as session:
        yield "int8", session


def read(file: Path) -> Robustness:
    """What ``measure`` kept.

    Raises
    ------
    InputError : there is no such file, or it is another one.
    """
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"{file} is over {MAX_BYTES} bytes", hint=_MADE_BY)
        return msgspec.json.decode(file.read_bytes(), type=Robustness)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}", hint=_MADE_BY) from error
    except msgspec.DecodeError as error:
        raise InputError(f"{file} holds no result under corruptions: {error}", hint=_MADE_BY) from error


_MADE_BY = "edgetl verify BUNDLE --data DIR --corruptions all --out FILE.json   writes one"
