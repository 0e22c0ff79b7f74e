"""The three answers of ``--max-drop``: over, within, and within but not proven."""

from __future__ import annotations

import math

from edgetl import stats
from edgetl.types import Record
from edgetl.verify.accuracy import PairedResult

__all__ = ["Verdict", "judge"]


class Verdict(Record, frozen=True, kw_only=True):
    """``verdict`` is ``within``, ``unproven`` or ``over``; ``sentence`` says it with its figures."""

    verdict: str
    sentence: str


def judge(result: PairedResult, *, max_drop_pt: float) -> Verdict:
    """Hold a drop against its budget.

    Over where the point estimate exceeds it; unproven where the estimate is inside and the interval's upper end is
    not. An infinite budget is always kept.
    """
    low, high = result.drop_ci95_pt
    drop = f"drop {result.drop_pt:.2f} points, 95 % interval [{low:+.1f}, {high:+.1f}]"
    if math.isinf(max_drop_pt):
        return Verdict(verdict="within", sentence=f"{drop}, no budget; {result.n} images")
    drop = f"{drop}, budget {max_drop_pt:.2f}"
    if result.drop_pt > max_drop_pt:
        return Verdict(verdict="over", sentence=f"{drop}: over; {result.n} images")
    if high <= max_drop_pt:
        return Verdict(verdict="within", sentence=f"{drop}: within, proven on {result.n} images")
    needed = stats.images_needed(result.lost, result.gained, result.n, max_drop_pt / 100)
    would = f", about {needed} would" if needed else ""
    sentence = f"{drop}: within; {result.n} images cannot prove it{would}"
    return Verdict(verdict="unproven", sentence=sentence)
