"""Hard limits of an engine: latency, memory and energy, each held against what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from edgetl import isolate, stats
from edgetl.bench import energy
from edgetl.bench.comparison import Contender
from edgetl.bench.energy import Energy
from edgetl.bench.measurement import PERCENTILES, Percentiles
from edgetl.errors import EnvironmentLacks
from edgetl.types import LatencyBudget, Record

__all__ = ["Held", "Limits", "check", "latency", "measure"]

ENERGY_SECONDS = 3.0


class Limits(Record, frozen=True, kw_only=True):
    """Most that an engine may take; ``None`` where there is no limit.

    Attributes
    ----------
    latency : of the engine alone. memory_mib : of the host, a process that runs it. energy_mj : one inference.
    """

    latency: LatencyBudget | None = None
    memory_mib: float | None = None
    energy_mj: float | None = None


class Held(Record, frozen=True, kw_only=True):
    """One limit and what was found.

    Attributes
    ----------
    value : ``None`` where it was not measured, and ``verdict`` is ``unproven`` then.
    """

    what: str
    limit: float
    value: float | None
    unit: str
    verdict: Literal["within", "over", "unproven"]
    sentence: str


def check(limits: Limits) -> None:
    """Refuse a limit that nothing here can be held against, before anything is measured.

    Raises
    ------
    EnvironmentLacks : there is no source of energy.
    """
    if limits.energy_mj is not None and energy.meter() is None:
        raise EnvironmentLacks(
            "energy cannot be measured on this host: no RAPL, INA3221 or tegrastats is readable",
            hint="leave --max-energy out, or give this user access to /sys/class/powercap",
        )


def measure(limits: Limits, contender: Contender, env: Mapping[str, str] | None = None) -> list[Held]:
    """Memory and energy of an engine, each in a fresh process of its own.

    Raises
    ------
    EnvironmentLacks : the host does not say. EdgetlError : the engine cannot be opened.
    """
    found = []
    named = {"opener": contender.opener, "arguments": contender.arguments}
    if limits.memory_mib is not None:
        mib = isolate.call("edgetl.bench.instance:footprint", named, env=env)
        if mib is None:
            raise EnvironmentLacks(
                "memory cannot be measured on this host: it has no /proc", hint="leave --max-memory out"
            )
        found.append(_held("memory", limits.memory_mib, mib, "MiB"))
    if limits.energy_mj is not None:
        asked = {**named, "seconds": ENERGY_SECONDS}
        told = isolate.call("edgetl.bench.instance:energy_use", asked, env=env)
        used = None if told is None else msgspec.convert(told, Energy)
        if used is None or used.mj_per_run is None:
            raise EnvironmentLacks(
                "energy cannot be measured on this host: no sensor is known to feed the whole board",
                hint="leave --max-energy out",
            )
        found.append(_held("energy of one inference", limits.energy_mj, used.mj_per_run, "mJ"))
    return found


def latency(limit: LatencyBudget, measured: Percentiles) -> Held:
    """A percentile over all runs of all fresh instances; ``unproven`` where so few runs do not support it."""
    value = measured[limit.at]
    if value is not None:
        return _held(f"latency at {limit.at}", limit.ms, value, "ms")
    needed = stats.percentile_support(PERCENTILES[limit.at])
    return Held(
        what=f"latency at {limit.at}",
        limit=limit.ms,
        value=None,
        unit="ms",
        verdict="unproven",
        sentence=f"latency at {limit.at} takes {needed} runs, {measured['n']} were measured",
    )


def _held(what: str, limit: float, value: float, unit: str) -> Held:
    verdict: Literal["within", "over"] = "over" if value > limit else "within"
    sentence = f"{what} {value:.4g} {unit}, limit {limit:g} {unit}: {verdict}"
    return Held(what=what, limit=limit, value=value, unit=unit, verdict=verdict, sentence=sentence)
