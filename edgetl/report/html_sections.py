"""A bundle on a page: the figures that are read first, then its sections."""

from __future__ import annotations

import shlex

from edgetl.candidate import spoken
from edgetl.report import (
    html_accuracy,
    html_adaptation,
    html_engine,
    html_robustness,
    html_tasks,
    html_training,
)
from edgetl.report.html_facts import Facts, Use
from edgetl.report.html_parts import Card, Section, Table, interval_text, ms
from edgetl.report.summary import bytes_text
from edgetl.words import ADAPTATIONS

__all__ = ["cards", "sections"]


def cards(facts: Facts) -> list[Card]:
    """Accuracy, latency and size of what ships."""
    accuracy, latency = facts.results.accuracy, facts.latency()
    found = html_tasks.cards(facts)
    if accuracy.shipped is not None:
        interval = facts.interval(accuracy.shipped)
        detail = interval_text(interval, accuracy.n) if interval else ""
        label = "top-1 of a reference" if accuracy.reference_only else "top-1"
        label += html_adaptation.where(facts)
        found.append(Card(f"{100 * accuracy.shipped:.1f} %", label, detail))
    found.append(
        Card(ms(latency.p50), "p50 of one inference", f"p90 {ms(latency.p90)} · p99 {ms(latency.p99)}")
    )
    size = facts.results.size_bytes.get(facts.shipped)
    found.append(Card(bytes_text(size) if size else "n/a", facts.engine(), spoken(facts.shipped)))
    use = facts.results.use.get(facts.shipped, Use())
    if use.memory_mib is not None:
        found.append(
            Card(
                f"{use.memory_mib:.0f} MiB",
                "memory of its process",
                "most that was resident, Python included",
            )
        )
    if use.power_w is not None:
        found.append(Card(f"{use.power_w:.3g} W", "power while it runs", use.power_source))
    return found


def sections(facts: Facts, data_given: bool) -> list[Section]:
    """All of a bundle's sections, in the order in which they are read."""
    trained = html_training.section(facts)
    judged = [
        html_accuracy.of_all(facts),
        *html_adaptation.sections(facts),
        html_accuracy.by_class(facts),
        html_accuracy.worst(facts, data_given),
        html_robustness.section(facts.robustness),
    ]
    return [
        *(html_tasks.sections(facts) if facts.tasks() else judged),
        *([trained] if trained is not None else []),
        html_engine.latency(facts),
        html_engine.tradeoff(facts),
        html_engine.layers(facts),
        _next(facts),
        _origin(facts),
    ]


def _next(facts: Facts) -> Section:
    if facts.manifest.pending is not None:
        return Section("next", "What is next", lines=list(facts.manifest.pending.next))
    place = shlex.quote(facts.place)
    steps = [
        f"edgetl predict {place} photo.jpg",
        f"edgetl gate {place} --baseline EARLIER   has it become slower?",
    ]
    if facts.results.accuracy.verdict == "unproven":
        steps.append(
            f"edgetl verify {place} --data DIR   with more test images: these cannot prove the budget"
        )
    if facts.shipped != "int8" and "int8" in facts.accuracies:
        steps.append(f"edgetl sensitivity {place} --data DIR   the layers that INT8 costs most in")
    if not facts.layers:
        steps.append(f"edgetl inspect {place} --layers   the layers that its engine executes")
    return Section("next", "What is next", lines=steps)


def _origin(facts: Facts) -> Section:
    manifest = facts.manifest
    rows = [
        ("model", f"{manifest.model}, {manifest.method} method, seed {manifest.seed}"),
        ("built", f"{manifest.created} for {manifest.device} ({manifest.backend})"),
        ("commit", manifest.caller_commit or "built outside a git repository"),
        *_adapted(facts),
        ("test images", f"sha256 {manifest.data.get('test', 'unknown')[:16]}"),
        ("licence of the weights", manifest.weights_licence or "not stated"),
        ("versions", ", ".join(f"{name} {version}" for name, version in sorted(manifest.versions.items()))),
        ("manifest", f"sha256 {manifest.sha256[:16]}"),
    ]
    lines = (
        [f"shipped {spoken(facts.shipped)}: {facts.results.shipped.reason}"]
        if facts.results.shipped.reason
        else []
    )
    return Section("origin", "Where it comes from", lines=lines, tables=[Table(("", ""), rows)])


def _adapted(facts: Facts) -> list[tuple[str, str]]:
    told = facts.manifest.adapted
    if told is None:
        return []
    by = ADAPTATIONS.get(told.method, told.method)
    return [("adapted to", f"{told.frames} target frames by {by}, sha256 {told.digest[:16]}")]
