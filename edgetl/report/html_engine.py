"""The sections of a page on an engine: its latency, what it gives for what, and its layers."""

from __future__ import annotations

from edgetl.candidate import spoken
from edgetl.report import pictures_latency, pictures_layers, pictures_pareto
from edgetl.report.html_facts import Facts
from edgetl.report.html_parts import Section, Table, ms, ordered
from edgetl.report.summary import bytes_text

__all__ = ["latency", "layers", "points", "tradeoff"]

STATE = (
    ("governor", "governor", ""),
    ("clock_mhz", "clock", " MHz"),
    ("load", "load", ""),
    ("temperature_c", "temperature", " C"),
    ("power_mode", "power mode", ""),
)
"""Of the context: what decides a latency and differs from day to day."""


def points(facts: Facts, series: int, prefix: str) -> list[pictures_pareto.Point]:
    """Each candidate whose accuracy and latency are known."""
    found = []
    for name in ordered(list(facts.accuracies)):
        timed = facts.results.latency_ms.get(name)
        interval = facts.interval(facts.accuracies[name])
        if timed is not None and timed.p50 and interval is not None:
            point = pictures_pareto.Point(
                f"{prefix}{spoken(name)}",
                timed.p50,
                facts.accuracies[name],
                interval,
                series,
                name == facts.shipped,
            )
            found.append(point)
    return found


def latency(facts: Facts) -> Section:
    """How it is spread, how it went over time, and on which host."""
    blocks = {name: facts.blocks[name] for name in ordered(list(facts.blocks))}
    rows = [
        (spoken(name), ms(one.p50), ms(one.p90), ms(one.p99), str(one.n))
        for name, one in (
            (name, facts.results.latency_ms[name]) for name in ordered(list(facts.results.latency_ms))
        )
    ]
    tables = [Table(("", "p50", "p90", "p99", "runs"), rows, (1, 2, 3, 4))] if rows else []
    if facts.shipped not in blocks:
        why = facts.manifest.pending
        told = (
            "latency was not measured: the engine is still to be built on its device"
            if why
            else "raw latencies are not in the bundle: edgetl bench BUNDLE measures the engine on this host"
        )
        return Section("latency", "Latency", tables=tables, missing=[told])
    drawn = [
        pictures_latency.spread(blocks, facts.shipped),
        pictures_latency.over_time(blocks, facts.shipped),
    ]
    return Section("latency", "Latency", drawn, _host(facts), tables)


def _host(facts: Facts) -> list[str]:
    """On what it was measured; what could not be read is said to be unknown."""
    context = facts.results.context
    if context is None:
        return []
    state = [f"{name} {_stated(context.get(key), unit)}" for key, name, unit in STATE]
    threads = context.get("threads")
    state.append("threads: the vendor's default" if threads is None else f"{threads} threads")
    cpu = context.get("cpu") or "an unknown CPU"
    return [f"measured on {cpu}, {context.get('usable_cores') or '?'} cores · {' · '.join(state)}"]


def _stated(value: object, unit: str) -> str:
    if value is None:
        return "unknown"
    return f"{value:.4g}{unit}" if isinstance(value, (int, float)) else f"{value}{unit}"


def tradeoff(facts: Facts) -> Section:
    """Accuracy against latency, and size."""
    sizes = {name: facts.results.size_bytes[name] for name in ordered(list(facts.results.size_bytes))}
    files = sorted(facts.manifest.files.items(), key=lambda item: -item[1].size)
    rows = [(name, bytes_text(entry.size), entry.sha256[:16]) for name, entry in files]
    table = Table(("file", "size", "sha256"), rows, (1,), folded=f"all {len(rows)} files of the bundle")
    spots, drawn, missing = points(facts, 0, ""), [], []
    if len(spots) > 1:
        note = "bars are 95 % intervals; the dotted line is the front, the filled mark ships"
        drawn.append(pictures_pareto.tradeoff(spots, (), note))
    if sizes.get(facts.shipped):
        drawn.append(pictures_layers.sizes(sizes, facts.shipped, facts.engine()))
    else:
        missing.append("the size of the engine is not in results.json")
    return Section("tradeoff", "What it gives, and for what", drawn, tables=[table], missing=missing)


def layers(facts: Facts) -> Section:
    """The slowest, and the precision that each runs in."""
    timed = {
        name: facts.layers[name]
        for name in ordered(list(facts.layers))
        if any(one.microseconds for one in facts.layers[name])
    }
    if facts.shipped not in timed:
        told = "times of layers are not in the bundle: edgetl inspect BUNDLE --layers measures them"
        return Section("layers", "Layers", missing=[told])
    shown = timed[facts.shipped]
    rows = [
        (one.name, one.kind, one.precision, one.kernel, f"{one.microseconds:.1f}")
        for one in shown
        if one.microseconds
    ]
    table = Table(
        ("layer", "kind", "runs in", "kernel", "us"),
        rows,
        (4,),
        folded=f"all {len(rows)} layers, in the order they run",
    )
    drawn = [
        pictures_layers.slowest(shown, facts.shipped),
        pictures_layers.by_precision(timed, facts.shipped),
    ]
    return Section("layers", "Layers", drawn, tables=[table])
