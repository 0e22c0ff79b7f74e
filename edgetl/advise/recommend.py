"""Which backbone to take: the best that the latency allows, and of those that are as good the fastest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgetl import stats
from edgetl.types import Record

__all__ = ["Choice", "Latency", "Scored", "better_by", "recommend", "score"]

AS_GOOD = 0.01
"""Probes that lie no further apart are taken as equal: then time decides."""


class Latency(Record, frozen=True, kw_only=True):
    """Median of one INT8 inference at batch 1.

    Attributes
    ----------
    kind : ``measured`` on the device, ``predicted`` by its latency model, or measured on this ``host`` in its place.
    spread_ms : fastest and slowest instance, where it was measured.
    error : of the prediction, relative: the median of networks that were left out of the fit.
    """

    p50_ms: float
    kind: Literal["measured", "predicted", "host"]
    spread_ms: tuple[float, float] | None = None
    error: float | None = None


class Scored(Record, frozen=True, kw_only=True):
    """A backbone and what its frozen features promise.

    Attributes
    ----------
    name : as it is shown. options : that name it for ``edgetl build``. size : of its input, in pixels.
    probe, probe_ci95 : cross-validated accuracy of a linear probe; ``None`` where a class has one picture.
    log_likelihood : of the labels by that probe, a picture. logme, nleep : see the modules of these names.
    """

    name: str
    options: str
    size: int
    probe: float | None
    probe_ci95: tuple[float, float] | None
    log_likelihood: float | None
    logme: float
    nleep: float
    latency: Latency | None = None


class Choice(Record, frozen=True, kw_only=True):
    """The one that is recommended, and why, in a sentence."""

    name: str
    reason: str


def score(one: Scored) -> float:
    """What candidates are ranked by: the accuracy of the probe; its likelihood and LogME break ties.

    Where nothing could be held out LogME stands alone, below all that could.
    """
    if one.probe is None or one.log_likelihood is None:
        return one.logme - 1e3
    return one.probe + 1e-4 * one.log_likelihood + 1e-6 * one.logme


def recommend(
    scored: Sequence[Scored], right: Mapping[str, npt.NDArray[np.bool_]], *, max_ms: float | None
) -> Choice | None:
    """The best within the latency; ``None`` where none is.

    Parameters
    ----------
    right : by name, of each picture whether the probe is right: bool (N,), the same pictures for all.
    max_ms : of the median; ``None`` is no limit. With one, a latency that is not known does not keep it.
    """
    able = [one for one in scored if max_ms is None or (one.latency and one.latency.p50_ms <= max_ms)]
    if not able:
        return None
    ranked = sorted(able, key=score, reverse=True)
    best = ranked[0]
    as_good = [one for one in ranked if _gap(best, one) <= AS_GOOD and one.latency is not None]
    taken = min(as_good, key=lambda one: one.latency.p50_ms if one.latency else np.inf, default=best)
    others = [one for one in ranked if one is not taken]
    return Choice(name=taken.name, reason=_reason(taken, best, others, right, max_ms))


def _gap(best: Scored, other: Scored) -> float:
    if best.probe is None or other.probe is None:
        return 0.0 if best is other else np.inf
    return best.probe - other.probe


def _reason(
    taken: Scored,
    best: Scored,
    others: Sequence[Scored],
    right: Mapping[str, npt.NDArray[np.bool_]],
    max_ms: float | None,
) -> str:
    within = "" if max_ms is None else f" within {max_ms:g} ms"
    if taken is not best:
        apart = better_by(right, best.name, taken.name)
        return f"the fastest{within} of those that are as good as {best.name}: {apart}"
    told = f"the best probe{within}"
    return f"{told}; {better_by(right, taken.name, others[0].name)}" if others else told


def better_by(right: Mapping[str, npt.NDArray[np.bool_]], one: str, other: str) -> str:
    """By how many points one probe is better than another on the same pictures, with Tango's interval."""
    lost = int((right[one] & ~right[other]).sum())
    gained = int((right[other] & ~right[one]).sum())
    count = len(right[one])
    low, high = stats.tango(lost, gained, count)
    return (
        f"{one} is {100 * (lost - gained) / count:+.1f} points from {other} on the same pictures, "
        f"95 % interval [{100 * low:+.1f}, {100 * high:+.1f}]"
    )
