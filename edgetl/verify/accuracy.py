"""What an engine answers, and how its accuracy compares image by image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl import stats
from edgetl.backends import seam
from edgetl.backends.seam import Request, Session
from edgetl.devices import DeviceProfile
from edgetl.errors import GateFailed
from edgetl.runtime.prediction import as_logits
from edgetl.types import Record

__all__ = [
    "PairedResult",
    "Recall",
    "logits_of",
    "logits_of_model",
    "outputs_of",
    "paired",
    "per_class_recall",
    "snr_db",
]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
IN_FLIGHT = 2


class PairedResult(Record, frozen=True, kw_only=True):
    """Two engines on the same labelled images.

    Attributes
    ----------
    drop_pt : points of top-1 that the candidate loses; drop_ci95_pt : Tango's interval of it.
    lost, gained : images right only with the reference, and right only with the candidate.
    p_value : McNemar, exact. agreement : share of images with the same top class.
    snr_db : of the candidate's logits against the reference's; ``None`` where they are equal.
    """

    n: int
    reference_accuracy: float
    candidate_accuracy: float
    drop_pt: float
    drop_ci95_pt: tuple[float, float]
    lost: int
    gained: int
    p_value: float
    agreement: float
    snr_db: float | None


class Recall(Record, frozen=True, kw_only=True):
    """Recall of each class: ``rows`` as ``{class, n, recall, ci95}``, and the worst in words."""

    rows: list[dict[str, Any]]
    sentence: str


def outputs_of(
    session: Session, pictures: Array, *outputs: str, on_progress: Callable[[int, int], None] | None = None
) -> Floats:
    """One output of an engine for every picture, or several beside each other, two requests in flight.

    Parameters
    ----------
    pictures : uint8 (N, H, W, 3); the last batch of an engine with a fixed batch is filled up and cut again.

    Returns
    -------
    float32 (N, D).
    """
    name = session.inputs[0].name
    rows = session.inputs[0].shape[0] or 1
    idle = [session.request() for _ in range(IN_FLIGHT)]
    flying: list[tuple[Request, int]] = []
    answers: list[Floats] = []
    done = 0

    def land() -> None:
        nonlocal done
        request, count = flying.pop(0)
        told = request.wait()
        answers.append(np.concatenate([told[name][:count] for name in outputs], axis=1, dtype=np.float32))
        idle.append(request)
        done += count
        if on_progress is not None:
            on_progress(done, len(pictures))

    for start in range(0, len(pictures), rows):
        if not idle:
            land()
        part = pictures[start : start + rows]
        count = len(part)
        if count < rows:
            part = np.concatenate([part, np.zeros((rows - count, *part.shape[1:]), part.dtype)])
        request = idle.pop()
        request.fill({name: part})
        request.start()
        flying.append((request, count))
    while flying:
        land()
    width = sum(spec.shape[-1] or 0 for spec in session.outputs if spec.name in outputs)
    return np.concatenate(answers) if answers else np.zeros((0, width), np.float32)


def logits_of(
    session: Session, pictures: Array, *, on_progress: Callable[[int, int], None] | None = None
) -> Floats:
    """Logits of every picture, float32 (N, classes); logarithms of probabilities where the engine answers those.

    Of an engine with several outputs the rows that they share, (N, outputs), in the engine's order.

    Raises
    ------
    GateFailed : a logit is NaN or infinite; the first such picture is named.
    """
    names = [output.name for output in session.outputs]
    found = as_logits(names[0], outputs_of(session, pictures, *names, on_progress=on_progress))
    bad = np.nonzero(~np.isfinite(found).all(axis=1))[0]
    if len(bad):
        raise GateFailed(
            f"the engine answers NaN or infinity on {len(bad)} of {len(found)} images, the first is number {bad[0]}",
            hint="--precision f32 says whether it is the precision; edgetl verify --diagnose looks for a wrong input",
            images=bad[:20].tolist(),
        )
    return found


def logits_of_model(model: Path, profile: DeviceProfile, pictures: Array) -> Floats:
    """Logits (N, classes) of an ONNX file's engine, which is compiled for this only."""
    session = seam.find(profile.backend).trial(model, profile)
    try:
        return logits_of(session, pictures)
    finally:
        session.close()


def paired(labels: Array, reference: Floats, candidate: Floats) -> PairedResult:
    """Compare two engines' logits (N, classes) on the same images, whose classes are ``labels`` (N,)."""
    if not len(labels) == len(reference) == len(candidate) > 0:
        raise ValueError(f"{len(labels)} labels, {len(reference)} and {len(candidate)} answers")
    ours, theirs = candidate.argmax(axis=1), reference.argmax(axis=1)
    right, right_before = ours == labels, theirs == labels
    lost, gained = int((right_before & ~right).sum()), int((right & ~right_before).sum())
    low, high = stats.tango(lost, gained, len(labels))
    return PairedResult(
        n=len(labels),
        reference_accuracy=float(right_before.mean()),
        candidate_accuracy=float(right.mean()),
        drop_pt=100 * (lost - gained) / len(labels),
        drop_ci95_pt=(100 * low, 100 * high),
        lost=lost,
        gained=gained,
        p_value=stats.mcnemar_exact(lost, gained),
        agreement=float((ours == theirs).mean()),
        snr_db=snr_db(reference, candidate),
    )


def snr_db(reference: Floats, found: Floats) -> float | None:
    """Signal to noise of answers against a reference, in dB; ``None`` where they are equal or the reference is zero."""
    noise = float(np.square(found.astype(np.float64) - reference).sum())
    power = float(np.square(reference.astype(np.float64)).sum())
    return 10 * float(np.log10(power / noise)) if noise and power else None


def per_class_recall(labels: Array, answers: Floats, classes: Sequence[str]) -> Recall:
    """Recall of each class with Wilson's interval, the worst first."""
    found = answers.argmax(axis=1)
    rows: list[dict[str, Any]] = []
    for index, name in enumerate(classes):
        mine = labels == index
        count, right = int(mine.sum()), int((found[mine] == index).sum())
        if count:
            rows.append(
                {"class": name, "n": count, "recall": right / count, "ci95": list(stats.wilson(right, count))}
            )
    rows.sort(key=lambda row: float(row["recall"]))
    if not rows:
        return Recall(rows=[], sentence="")
    worst = rows[0]
    low, high = worst["ci95"]
    sentence = (
        f"worst class {worst['class']}: recall {100 * worst['recall']:.1f} %, "
        f"95 % interval [{100 * low:.1f}, {100 * high:.1f}], {worst['n']} images"
    )
    return Recall(rows=rows, sentence=sentence)
