"""Which backbone to take: the best that the latency allows, and of those that are as good the fastest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgetl import stats
from edgetl.types import Record

__all__ = ["Choice", "Latency", "Scored", "compared", "recommend", "score"]

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

    @property
    def of_device(self) -> Latency | None:
        """Measured on the device, or predicted for it; ``None`` where only another machine's is known, or none."""
        return None if self.latency is None or self.latency.kind == "host" else self.latency


class Choice(Record, frozen=True, kw_only=True):
    """The one that is recommended: ``finding`` in a few words, and ``reason`` with what speaks for and against it."""

    name: str
    finding: str
    reason: str


def score(scored: Sequence[Scored]) -> dict[str, float]:
    """What candidates are ranked by: the share of them that each beats, mean over the probe, LogME and NLEEP; by name.

    Each of the three foretells the accuracy of fine-tuning with errors of its own, and they have no unit in common: so
    their orders are averaged (Borda's count). A draw counts half, as that with itself: the first of n comes to 1 - 1/2n
    at most. Where nothing could be held out the probe is a draw.
    """
    nothing = -np.inf
    told = [[nothing if one.probe is None else one.probe, one.logme, one.nleep] for one in scored]
    values = np.array(told)
    beats = (values[:, None] > values).mean(axis=1) + (values[:, None] == values).mean(axis=1) / 2
    return {one.name: float(share) for one, share in zip(scored, beats.mean(axis=1))}


def recommend(
    scored: Sequence[Scored], right: Mapping[str, npt.NDArray[np.bool_]], *, max_ms: float | None
) -> Choice | None:
    """The best within the latency; ``None`` where none is.

    Parameters
    ----------
    right : by name, of each picture whether the probe is right: bool (N,), the same pictures for all.
    max_ms : of the median; ``None`` is no limit. With one, a latency that is not the device's does not keep it.
    """
    scores = score(scored)
    able = [one for one in scored if max_ms is None or (one.of_device and one.of_device.p50_ms <= max_ms)]
    if not able:
        return None
    ranked = sorted(able, key=lambda one: scores[one.name], reverse=True)
    best = ranked[0]
    as_good = [one for one in ranked if _gap(best, one) <= AS_GOOD and one.latency is not None]
    taken = min(as_good, key=lambda one: one.latency.p50_ms if one.latency else np.inf, default=best)
    within = "" if max_ms is None else f" within {max_ms:g} ms"
    if taken is not best:
        as_well = f"as good as that of {best.name}, or better"
        finding = f"{taken.name} is the fastest{within} of those whose probe is {as_well}"
        rival = best
    else:
        finding = f"{taken.name} has the best mean rank{within} over probe, LogME and NLEEP"
        rival = next((one for one in ranked if one is not taken), taken)
    untold = rival is taken or taken.probe is None or rival.probe is None
    told = [finding] if untold else [finding, compared(right, taken.name, rival.name)]
    return Choice(name=taken.name, finding=finding, reason="; ".join([*told, *_doubt(taken, max_ms)]))


def _gap(best: Scored, other: Scored) -> float:
    if best.probe is None or other.probe is None:
        return 0.0 if best is other else np.inf
    return round(best.probe - other.probe, 9)  # 0.97 - 0.96 is above 0.01


def _doubt(taken: Scored, max_ms: float | None) -> list[str]:
    """That a prediction may be off by enough to break the limit."""
    latency = taken.latency
    if max_ms is None or latency is None or latency.error is None:
        return []
    if latency.p50_ms * (1 + latency.error) <= max_ms:
        return []
    return [
        f"its {latency.p50_ms:.2f} ms are predicted, and off by the usual {100 * latency.error:.0f} % they would not "
        f"keep {max_ms:g} ms"
    ]


def compared(right: Mapping[str, npt.NDArray[np.bool_]], one: str, other: str) -> str:
    """By how many points one probe is better than another on the same pictures, with Tango's interval.

    Parameters
    ----------
    right : by name, of each picture whether the probe is right: bool (N,).

    >>> told = {"a": np.array([True] * 9 + [False]), "b": np.array([True] * 8 + [False] * 2)}
    >>> compared(told, "a", "b").partition(":")[0]
    'its probe is 10.0 points above b on the same 10 pictures, 95 % interval [-20.5, +40.4]'
    """
    lost = int((right[one] & ~right[other]).sum())
    gained = int((right[other] & ~right[one]).sum())
    count = len(right[one])
    low, high = (100 * end for end in stats.tango(lost, gained, count))
    points = 100 * (lost - gained) / count
    side = (
        "level with" if lost == gained else f"{abs(points):.1f} points {'above' if points > 0 else 'below'}"
    )
    apart = "" if low > 0 or high < 0 else ": they do not tell the two apart"
    return f"its probe is {side} {other} on the same {count} pictures, 95 % interval [{low:+.1f}, {high:+.1f}]{apart}"
