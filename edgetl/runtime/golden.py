"""Whether an engine answers the pictures that its build kept as it answered them then."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from edgetl.errors import GateFailed
from edgetl.tasks import Task, scaled, slices

__all__ = ["GOLDEN_TOLERANCE", "check"]

Floats = npt.NDArray[np.float32]
GOLDEN_TOLERANCE = 0.05
"""Largest difference of a logit to the golden ones, as a share of the largest: another CPU rounds otherwise, and
INT8 moves by a level here and there; a broken engine is off by its whole range."""
AS_NEAR = 1.5
"""Another vendor's INT8 kernels may move logits further than that, as two levels of optimization of one runtime do, but
no further from f32 than by so many times what INT8 cost where it was verified."""
POOR = 0.25
"""INT8 that cost more than this share of how far logits lie from their mean, by root mean square, is nothing to measure
another engine by."""


def check(
    tasks: Sequence[Task],
    answers: Callable[[npt.NDArray[np.uint8]], Floats],
    inputs: npt.NDArray[np.uint8],
    stored: Floats,
    exact: Floats,
) -> float:
    """Largest difference to what the build stored, as a share of the largest logit; of several tasks, the worst one's.

    Parameters
    ----------
    tasks : that rows answer; none: they are the logits of one class. Each is held against its own largest number, a
        value in spreads from its mean.
    answers : rows (N, outputs) of engine inputs (N, H, W, 3).
    stored : rows of the shipped engine. exact : those of f32.

    Raises
    ------
    GateFailed : the difference is over ``GOLDEN_TOLERANCE`` and the answers are further from those of f32, by root mean
        square, than ``AS_NEAR`` times those that were stored; or the engine answers NaN.
    """
    found = answers(inputs)
    shares = _differences(tasks, found, stored)
    near = [_is_as_near(*parts) for parts in zip(*(_parts(tasks, rows) for rows in (found, stored, exact)))]
    for place, (share, as_near) in enumerate(zip(shares, near)):
        if not (share <= GOLDEN_TOLERANCE or as_near):  # so that NaN fails, too
            name = f" of {tasks[place].name}" if tasks else ""
            swapped = _differences(tasks, answers(np.ascontiguousarray(inputs[..., ::-1])), stored)
            flips = [_flips(*rows) for rows in zip(_parts(tasks, found), _parts(tasks, stored))][place]
            raise _blamed(name, share, max(swapped), flips, len(inputs))
    return max(shares)


def _blamed(name: str, worst: float, swapped: float, flips: int, count: int) -> GateFailed:
    """Why the engine's answers are not the stored ones, as far as they tell."""
    if swapped <= GOLDEN_TOLERANCE:
        return GateFailed(
            f"red and blue are swapped in this engine: golden vectors{name} differ by {worst:.1e} of the largest "
            f"logit as they are, and by {swapped:.1e} with their channels in the other order",
            hint="its network was exported for the other order: build it again on this host",
            difference=worst,
        )
    return GateFailed(
        f"golden vectors{name} differ by {worst:.1e} of the largest logit ({flips} of {count} classes changed); "
        f"at most {GOLDEN_TOLERANCE:g} is allowed, or {AS_NEAR:g} times what lies between the stored ones and f32",
        hint="this engine does not compute what was verified: build it again on this host",
        difference=worst,
    )


def _parts(tasks: Sequence[Task], rows: Floats) -> list[Floats]:
    """Each task's part of rows, of one scale."""
    if not tasks:
        return [rows]
    told = scaled(tasks, rows).astype(np.float32)
    return [told[:, part] for part in slices(tasks)]


def _differences(tasks: Sequence[Task], found: Floats, stored: Floats) -> list[float]:
    pairs = zip(_parts(tasks, found), _parts(tasks, stored))
    return [float(np.abs(a - b).max() / max(float(np.abs(b).max()), 1e-12)) for a, b in pairs]


def _flips(found: Floats, stored: Floats) -> int:
    return int((found.argmax(axis=1) != stored.argmax(axis=1)).sum())


def _is_as_near(found: Floats, stored: Floats, exact: Floats) -> bool:
    """Whether answers are about as near to those of f32 as the stored ones are."""
    cost = _rms(stored - exact)
    spread = _rms(exact - exact.mean(axis=1 if exact.shape[1] > 1 else 0, keepdims=True))
    return cost <= POOR * spread and _rms(found - exact) <= AS_NEAR * cost


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
