"""What ``edgetl bench`` measured, as lines: percentiles where they have support, and the host they are of."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping

from edgetl import stats
from edgetl.bench import drift, throttle
from edgetl.bench.activity import Shares
from edgetl.bench.context import Context
from edgetl.bench.energy import Energy
from edgetl.bench.harness import OwnCost
from edgetl.bench.measurement import PERCENTILES, Measurement, percentiles_ms

__all__ = [
    "context_lines",
    "doubts",
    "energy_line",
    "harness_line",
    "host_doubts",
    "stages_line",
    "table",
]

NAMES = {"engine": "engine alone", "frame": "frame to result"}
BUSY = 0.5
"""Above this share of the cores, the load is called high: others take time from the engine."""
OTHERS = 0.05
"""Others had more than this share of the processors while the engine was timed."""
BLOCKS, LEVEL, DRIFTED = 20, 0.01, 0.02
"""Medians of so many blocks in a row rise or fall, at this level of the test, and by this share in all."""
DEPENDENT = 0.25
"""Runs are worth less than this share of their number: an interval that takes them as independent is half as wide as
it ought to be, or less."""
CLOCK_MOVED = 0.05


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
        if measured.device_ns:
            shown = percentiles_ms(measured.device_ns)
            device = [
                "n/a" if ms is None else f"{ms:.3f} ms" for ms in (shown["p50"], shown["p90"], shown["p99"])
            ]
            rows.append(f"  {'  on the device':<16} {device[0]:>10} {device[1]:>10} {device[2]:>10}")
    rows += [
        f"  {percentile} is n/a: it takes {needed} runs (--iterations {needed})"
        for percentile, needed in missing.items()
    ]
    return rows


def stages_line(stages: Mapping[str, Measurement]) -> str:
    """The median of each stage of a frame, in order, on one line."""
    medians = [f"{name} {statistics.median(one.samples_ns) / 1e6:.3f}" for name, one in stages.items()]
    runs = min(len(one.samples_ns) for one in stages.values())
    return f"  stages     {', '.join(medians)} ms, medians of {runs} frames"


def energy_line(energy: Energy) -> str:
    """Power of the whole and energy of an inference; each rail where none feeds the whole."""
    if energy.total is None or energy.mj_per_run is None:
        rails = ", ".join(f"{name} {watts:.2f} W" for name, watts in energy.watts.items())
        return f"  power      {rails} ({energy.source}; no rail here is known to feed the whole)"
    idle = "" if energy.idle_watts is None else f", {energy.idle_watts:.2f} W at rest"
    watts = energy.watts[energy.total]
    return f"  power      {watts:.2f} W{idle} · {energy.mj_per_run:.2f} mJ an inference ({energy.source})"


def harness_line(cost: OwnCost) -> str:
    """What measuring itself adds."""
    return (
        f"  harness    adds {cost.inside_ns / 1000:.2f} us to a run and takes {cost.between_ns / 1000:.2f} us "
        "between two, measured on a session that does nothing"
    )


def doubts(found: Mapping[str, Measurement], before: Context) -> list[str]:
    """Why the figures may not be the engine's own: each is a sentence, none where there is no reason.

    The load is a mean over the minute before; it is told where what others took meanwhile is not known.
    """
    told = []
    cores = before.usable_cores or before.cores or 1
    known = all(measured.shares is not None for measured in found.values())
    if not known and before.load is not None and before.load > BUSY * cores:
        told.append(
            f"the load is {before.load:.1f} on {cores} cores: other work is running and takes time from the engine"
        )
    told += [
        f"{NAMES.get(name, name)}: {doubt}"
        for name, measured in found.items()
        for doubt in _of_runs(measured)
    ]
    if before.governor not in (None, "performance"):
        told.append(f"the governor is {before.governor}: the clock follows the load")
    return told


def _of_runs(measured: Measurement) -> list[str]:
    """Doubts about one measurement, from its runs and from the host before and after them."""
    told = []
    if measured.partial:
        told.append(f"partial, {measured.partial}: {len(measured.samples_ns)} runs were kept")
    if measured.wild:
        told.append(f"it answers NaN or infinity in {', '.join(measured.wild)}: the time of a broken engine")
    if not measured.steady:
        told.append("the time had not settled when the warm-up ended")
    return [
        *told,
        *_of_order(measured.samples_ns),
        *host_doubts(measured.context, measured.after, measured.shares),
    ]


def _of_order(samples: tuple[int, ...]) -> list[str]:
    """What the order of the runs says."""
    told = []
    if len(samples) >= 2 * BLOCKS:
        blocks = drift.block_medians(samples, BLOCKS)
        moved = drift.sen_slope(blocks) * (BLOCKS - 1) / statistics.median(samples)
        if abs(moved) > DRIFTED and drift.kendall_p(blocks) < LEVEL:
            told.append(
                f"it {'rose' if moved > 0 else 'fell'} by {100 * abs(moved):.0f} % while it was measured"
            )
    worth = drift.effective_size(samples)
    if samples and worth < DEPENDENT * len(samples):
        narrow = math.sqrt(len(samples) / worth)
        told.append(
            f"neighbouring runs are alike, {len(samples)} are worth {worth:.0f}: its interval is about "
            f"{narrow:.1f} times too narrow"
        )
    return told


def host_doubts(before: Context, after: Context | None, shares: Shares | None) -> list[str]:
    """What happened to the host between two moments that took time from the engine."""
    told = []
    if shares is not None and shares.others > OTHERS:
        told.append(f"other processes had {100 * shares.others:.0f} % of the processors meanwhile")
    if shares is not None and shares.stolen > OTHERS:
        told.append(f"the hypervisor took {100 * shares.stolen:.0f} % of the processors meanwhile")
    if after is None:
        return told
    signs = throttle.risen(before.throttle, after.throttle)
    if signs:
        told.append(f"throttling was counted meanwhile, by {', '.join(signs)}")
    if before.clock_mhz and after.clock_mhz and after.clock_mhz < (1 - CLOCK_MOVED) * before.clock_mhz:
        told.append(f"the clock fell from {before.clock_mhz:.0f} to {after.clock_mhz:.0f} MHz")
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
        f"power mode {host.power_mode}" if host.power_mode else "",
        "clocks fixed" if host.clocks_fixed else "",
        "virtual machine" if host.virtual else "",
        f"threads {host.threads}" if host.threads is not None else "threads: the vendor's default",
    ]
    tools = [f"{name} {version}" for name, version in host.versions.items() if version]
    return [
        f"  host       {host.cpu or 'unknown CPU'}, {cores}",
        f"  state      {', '.join(filter(None, state))}",
        f"  versions   {', '.join(tools)}",
    ]
