"""What ``edgetl bench`` measured, as lines: percentiles where they have support, and the host they are of."""

from __future__ import annotations

from collections.abc import Mapping

from edgetl import stats
from edgetl.bench.context import Context
from edgetl.bench.measurement import PERCENTILES, Measurement

__all__ = ["context_lines", "doubts", "table"]

NAMES = {"engine": "engine alone", "frame": "frame to result"}
BUSY = 0.5
"""Above this share of the cores, the load is called high: others take time from the engine."""


def table(found: Mapping[str, Measurement]) -> list[str]:
    """One row a measurement; a percentile without support says how many runs would give it."""
    rows = [f"  {'':<16} {'p50':>10} {'p90':>10} {'p99':>10} {'runs':>7}   95 % interval of p50"]
    missing: dict[str, int] = {}
    for name, measured in found.items():
        cells = []
        for percentile, q in PERCENTILES.items():
            value = measured.percentile_ms(q)
            cells.append("n/a" if value is None else f"{value:.3f} ms")
            if value is None:
                missing[percentile] = stats.percentile_support(q)
        interval = measured.interval_ms(0.5)
        span = "n/a" if interval is None else f"[{interval[0]:.3f}, {interval[1]:.3f}]"
        rows.append(
            f"  {NAMES.get(name, name):<16} {cells[0]:>10} {cells[1]:>10} {cells[2]:>10} "
            f"{len(measured.samples_ns):>7}   {span}"
        )
    rows += [
        f"  {percentile} is n/a: it takes {needed} runs (--iterations {needed})"
        for percentile, needed in missing.items()
    ]
    return rows


def doubts(found: Mapping[str, Measurement], before: Context) -> list[str]:
    """Why the figures may not be the engine's own: each is a sentence, none where there is no reason."""
    told = []
    cores = before.usable_cores or before.cores or 1
    if before.load is not None and before.load > BUSY * cores:
        told.append(
            f"the load is {before.load:.1f} on {cores} cores: other work is running and takes time from the engine"
        )
    told += [
        f"{NAMES.get(name, name)}: the time had not settled when the warm-up ended"
        for name, measured in found.items()
        if not measured.steady
    ]
    if before.governor not in (None, "performance"):
        told.append(f"the governor is {before.governor}: the clock follows the load")
    return told


def context_lines(host: Context) -> list[str]:
    """The host, in three lines; what could not be read is left out."""
    cores = f"{host.usable_cores or host.cores} cores"
    if host.cpu_limit is not None:
        cores += f", limited to {host.cpu_limit:g}"
    state = [
        f"governor {host.governor}" if host.governor else "governor unknown",
        f"clock {host.clock_mhz:.0f} MHz" if host.clock_mhz else "",
        f"load {host.load:.2f}" if host.load is not None else "",
        f"{host.temperature_c:.0f} C" if host.temperature_c is not None else "",
        "virtual machine" if host.virtual else "",
        f"threads {host.threads}" if host.threads is not None else "threads: the vendor's default",
    ]
    tools = [f"{name} {version}" for name, version in host.versions.items() if version]
    return [
        f"  host       {host.cpu or 'unknown CPU'}, {cores}",
        f"  state      {', '.join(filter(None, state))}",
        f"  versions   {', '.join(tools)}",
    ]
