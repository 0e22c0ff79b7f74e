"""What is held against the budgets of accuracy, latency, memory and power: over, within, and what cannot be told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from edgetl import stats
from edgetl.devices import Budgets
from edgetl.types import LatencyBudget, Record
from edgetl.verify.accuracy import PairedResult

__all__ = ["Used", "Verdict", "judge", "judge_latency", "judge_used", "together", "used_of"]

_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


class Verdict(Record, frozen=True, kw_only=True):
    """``sentence`` says it with its figures.

    ``verdict`` is ``within``, ``unmeasured`` (memory or power), ``unproven`` or ``over``.
    """

    verdict: str
    sentence: str


class Used(Record, frozen=True, kw_only=True):
    """Memory or power against its budget; ``value`` is ``None`` where it was not measured, for the reason ``why``."""

    what: str
    value: float | None
    limit: float
    unit: str
    source: str = ""
    why: str


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


def judge_latency(measured: Mapping[str, float | None], limits: Sequence[LatencyBudget]) -> Verdict:
    """Hold a measured latency against its budgets.

    Parameters
    ----------
    measured : ``p50``, ``p90`` and ``p99`` in milliseconds, ``None`` without support, and ``n`` runs.
    limits : all must be kept; none are always kept.

    Returns
    -------
    ``over`` where a percentile exceeds its limit; ``unproven`` where one cannot be told from so few runs.
    """
    told, verdicts = [], set()
    for limit in limits:
        found = measured.get(limit.at)
        if found is None:
            needed = stats.percentile_support(_QUANTILES[limit.at])
            verdicts.add("unproven")
            told.append(f"{limit.at} takes {needed} runs, {measured.get('n') or 0} were measured")
            continue
        verdicts.add("over" if found > limit.ms else "within")
        told.append(
            f"{limit.at} {found:.2f} ms, budget {limit.ms:g} ms: {'over' if found > limit.ms else 'within'}"
        )
    worst = next((verdict for verdict in _WORST_FIRST if verdict in verdicts), "within")
    return Verdict(verdict=worst, sentence="; ".join(told))


_WORST_FIRST = ("over", "unproven", "unmeasured")


def used_of(
    use: Mapping[str, Any], budgets: Budgets, *, why: str = "this host has no source of it"
) -> list[Used]:
    """Memory and power that there is a budget of.

    Parameters
    ----------
    use : ``memory_mib``, ``power_w`` and ``power_source``; what is missing or ``None`` was not measured.
    why : the reason for that.
    """
    limits = (
        ("memory", "memory_mib", budgets.mem_mib, "MiB", ""),
        ("power", "power_w", budgets.power_w, "W", use.get("power_source", "")),
    )
    return [
        Used(what=what, value=use.get(key), limit=limit, unit=unit, source=source, why=why)
        for what, key, limit, unit, source in limits
        if limit is not None
    ]


def judge_used(used: Sequence[Used]) -> Verdict:
    """Hold memory and power against their budgets; none are always kept."""
    return together([_judge_one(one) for one in used])


def _judge_one(one: Used) -> Verdict:
    budget = f"budget {one.limit:g} {one.unit}"
    if one.value is None:
        return Verdict(verdict="unmeasured", sentence=f"{one.what}: {one.why}, {budget} not judged")
    verdict = "over" if one.value > one.limit else "within"
    source = f" ({one.source})" if one.source else ""
    return Verdict(
        verdict=verdict, sentence=f"{one.what} {one.value:.4g} {one.unit}{source}, {budget}: {verdict}"
    )


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """The worst of several, and all that they say."""
    found = {one.verdict for one in verdicts}
    worst = next((verdict for verdict in _WORST_FIRST if verdict in found), "within")
    return Verdict(verdict=worst, sentence="; ".join(one.sentence for one in verdicts if one.sentence))
