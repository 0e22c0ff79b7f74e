"""What a bundle says of itself, typed: a report is written over bundles of others, and of older builds.

What is missing is ``None`` or empty, and the page says so; what is there and not of its kind is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from edgetl import stats
from edgetl.errors import BundleError
from edgetl.report.task_facts import TaskFacts
from edgetl.runtime.bundle import Bundle, Manifest
from edgetl.types import LayerInfo, Mistake, Robustness

__all__ = [
    "Accuracy",
    "Adaptation",
    "Budget",
    "Candidate",
    "ClassMetrics",
    "Comparison",
    "Estimate",
    "Facts",
    "Metrics",
    "Paired",
    "Percentiles",
    "Recall",
    "Results",
    "Run",
    "Shipped",
    "Spread",
    "Teacher",
    "Thumbnail",
    "Training",
    "Use",
    "read",
]

LATENCY, LAYERS, DEVICE = "latency.json", "layers.json", "device.json"
BLOCK = 50
"""Runs of one instance that are taken together, where the engine was timed on its device."""
POSSIBLE_MS = 1e-6, 1e9
"""A nanosecond and eleven days, in ms: no build writes a latency beyond, and no axis shows one."""

Blocks = dict[str, list[list[list[int]]]]


class Recall(msgspec.Struct, frozen=True, rename={"name": "class"}):
    """How many pictures of a class were recognised."""

    name: str
    n: int
    recall: float
    ci95: tuple[float, float]


class Estimate(msgspec.Struct, frozen=True):
    """A figure from 0 to 1 and its interval."""

    value: float
    ci95: tuple[float, float]


class ClassMetrics(msgspec.Struct, frozen=True):
    """How a class is told from the others; ``None`` where there is nothing to tell it from."""

    name: str
    n: int
    roc_auc: Estimate | None = None
    average_precision: Estimate | None = None


class Metrics(msgspec.Struct, frozen=True):
    """Of one engine."""

    by_class: tuple[ClassMetrics, ...]
    calibration_error: Estimate
    bins: int


class Accuracy(msgspec.Struct, frozen=True):
    """Of the shipped engine on the test images, and of f32."""

    shipped: float | None = None
    n: int | None = None
    drop_pt: float | None = None
    drop_ci95_pt: tuple[float, float] | None = None
    budget_pt: float | None = None
    verdict: str = ""
    sentence: str = ""
    worst_class: str = ""
    per_class_recall: tuple[Recall, ...] = ()
    metrics: dict[str, Metrics] = {}
    ranking: tuple[str, ...] = ()
    decision: tuple[str, ...] = ()
    confusion: tuple[tuple[int, int, int], ...] = ()
    reference_only: bool = False
    tasks: tuple[TaskFacts, ...] = ()


class Shipped(msgspec.Struct, frozen=True):
    """Which candidate, and why."""

    candidate: str = ""
    reason: str = ""


class Percentiles(msgspec.Struct, frozen=True):
    """Milliseconds, ``None`` without support."""

    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    n: int = 0


class Budget(msgspec.Struct, frozen=True):
    """What was held against latency, memory and power."""

    verdict: str = ""
    sentence: str = ""


class Candidate(msgspec.Struct, frozen=True):
    """A candidate against the budgets; ``None`` where the host was not the device, or there were none."""

    latency_budget: Budget | None = None


class Use(msgspec.Struct, frozen=True):
    """Memory and power, ``None`` where they were not measured."""

    memory_mib: float | None = None
    power_w: float | None = None
    power_source: str = ""


class Teacher(msgspec.Struct, frozen=True):
    """What the network learned from."""

    sentence: str = ""


class Run(msgspec.Struct, frozen=True):
    """One training of several."""

    seed: int
    select_accuracy: float
    select_loss: float
    test_accuracy: float


class Spread(msgspec.Struct, frozen=True):
    """Trainings from several seeds, and the one that ships."""

    chosen: int
    runs: tuple[Run, ...]
    sentence: str


class Comparison(msgspec.Struct, frozen=True):
    """What the transfer brought, in words."""

    sentences: tuple[str, ...] = ()


class Training(msgspec.Struct, frozen=True):
    """``None`` where it was not asked for; ``picked`` and ``why`` are of ``--method auto``."""

    picked: str | None = None
    why: str = ""
    teacher: Teacher | None = None
    seeds: Spread | None = None
    compare: Comparison | None = None


class Paired(msgspec.Struct, frozen=True):
    """Two engines on the same images; shares from 0 to 1."""

    n: int
    reference_accuracy: float
    candidate_accuracy: float


class Adaptation(msgspec.Struct, frozen=True):
    """What it brought to fit the network to target frames; ``None`` where no frame had a label."""

    sentence: str
    lines: tuple[str, ...]
    source: Paired
    gain: Paired | None = None


class Results(msgspec.Struct, frozen=True):
    """What a page shows of ``results.json``; the rest is passed over."""

    accuracy: Accuracy = Accuracy()
    shipped: Shipped = Shipped()
    latency_ms: dict[str, Percentiles] = {}
    size_bytes: dict[str, int] = {}
    worst_images: tuple[Mistake, ...] = ()
    notes: tuple[str, ...] = ()
    context: dict[str, Any] | None = None
    candidates: dict[str, Candidate] = {}
    use: dict[str, Use] = {}
    training: Training = Training()
    adaptation: Adaptation | None = None


class _Samples(msgspec.Struct, frozen=True):
    instances: list[dict[str, list[list[int]]]]


class _Measured(msgspec.Struct, frozen=True):
    samples_ns: list[int]


class _Timed(msgspec.Struct, frozen=True):
    measurements: dict[str, _Measured] = {}


class _OnDevice(msgspec.Struct, frozen=True):
    bench: _Timed = _Timed()


@dataclass(frozen=True)
class Thumbnail:
    """One of the worst images: a small JPEG, or why there is none."""

    mistake: Mistake
    jpeg: bytes | None
    why: str = ""


@dataclass(frozen=True)
class Facts:
    """A bundle as a page shows it.

    Attributes
    ----------
    place : how the user named it. results : of the build.
    accuracies : top-1 of each candidate, 0 to 1. shipped : name of the candidate.
    blocks : raw nanoseconds by candidate, instance and block. layers : by candidate, as executed.
    thumbnails : the worst images, with their pictures where the data was given.
    robustness : the engine under corruptions, where that was measured and given.
    """

    place: str
    manifest: Manifest
    labels: tuple[str, ...]
    results: Results
    accuracies: Mapping[str, float]
    shipped: str
    blocks: Blocks
    layers: Mapping[str, list[LayerInfo]]
    thumbnails: tuple[Thumbnail, ...] = ()
    robustness: Robustness | None = None

    def tasks(self) -> tuple[TaskFacts, ...]:
        """Several, or one of values; none where the network answers one class."""
        return self.results.accuracy.tasks

    def interval(self, accuracy: float) -> tuple[float, float] | None:
        """Wilson's interval of a share of the test images; ``None`` where their number is not known."""
        n = self.results.accuracy.n
        return stats.wilson(round(accuracy * n), n) if n else None

    def latency(self) -> Percentiles:
        """Of the shipped candidate."""
        return self.results.latency_ms.get(self.shipped, Percentiles())

    def machine(self) -> tuple[str, str]:
        """The device that it is for, and the processor that it was timed on: latencies of others are no measure."""
        context = self.results.context
        cpu = "not timed" if context is None else f"timed on {context.get('cpu') or 'an unknown CPU'}"
        return self.manifest.device, cpu

    def engine(self) -> str:
        """What was compiled: a stand-in where the engine is still to be built."""
        return "reference engine" if self.manifest.pending is not None else "engine"

    def budget(self) -> str:
        """What the shipped candidate's latency, memory and power are against their budgets; empty without any."""
        held = self.results.candidates.get(self.shipped, Candidate()).latency_budget
        return held.sentence if held is not None else ""


def read(bundle: Bundle, place: str) -> Facts:
    """Everything that a page shows of an opened bundle but pictures.

    Raises
    ------
    BundleError : a file is not what a build writes.
    """
    raw = bundle.results if "results.json" in bundle.manifest.files else {}
    results = _converted(raw, Results, "results.json")
    _check(results, len(bundle.labels))
    shipped = results.shipped.candidate or bundle.manifest.precision
    return Facts(
        place=place,
        manifest=bundle.manifest,
        labels=bundle.labels,
        results=results,
        accuracies=_accuracies(raw, results, shipped),
        shipped=shipped,
        blocks=_blocks(bundle, shipped),
        layers=_decoded(bundle, LAYERS, dict[str, list[LayerInfo]]) or {},
    )


def _accuracies(raw: Mapping[str, Any], results: Results, shipped: str) -> dict[str, float]:
    """By candidate; ``results.json`` calls f32 ``fp32``."""
    names = [*(results.size_bytes or results.latency_ms), "f32", shipped]
    stored = raw.get("accuracy", {})
    found = {name: stored.get("fp32" if name == "f32" else name) for name in dict.fromkeys(names)}
    found[shipped] = results.accuracy.shipped if found[shipped] is None else found[shipped]
    known = {name: value for name, value in found.items() if value is not None}
    shares: dict[str, float] = _converted(known, dict[str, float], "results.json")
    if not all(0 <= share <= 1 for share in shares.values()):
        raise _broken("results.json", "an accuracy is not from 0 to 1")
    return shares


def _check(results: Results, classes: int) -> None:
    accuracy = results.accuracy
    named = [cell[:2] for cell in accuracy.confusion] + [
        (one.label, one.answer) for one in results.worst_images
    ]
    wrong = [pair for task in accuracy.tasks for *pair, _ in task.confusion if max(pair) >= len(task.labels)]
    if wrong or any(not 0 <= index < classes for pair in named for index in pair):
        raise _broken("results.json", f"a class is not one of {classes}")
    if accuracy.n is not None and accuracy.n < 1:
        raise _broken("results.json", f"accuracy.n is {accuracy.n}")
    if any(count < 1 for _, _, count in accuracy.confusion) or any(
        s < 0 for s in results.size_bytes.values()
    ):
        raise _broken("results.json", "a count is not above 0")
    shares = [accuracy.shipped, *(one.recall for one in accuracy.per_class_recall)]
    if any(share is not None and not 0 <= share <= 1 for share in shares):
        raise _broken("results.json", "an accuracy or a recall is not from 0 to 1")
    times = [ms for one in results.latency_ms.values() for ms in (one.p50, one.p90, one.p99)]
    if any(ms is not None and not POSSIBLE_MS[0] <= ms <= POSSIBLE_MS[1] for ms in times):
        raise _broken("results.json", "a latency is not from a nanosecond to eleven days")


def _blocks(bundle: Bundle, shipped: str) -> Blocks:
    """From the build, or from the device that the engine was finished on; empty where nothing was timed."""
    on_device = _decoded(bundle, DEVICE, _OnDevice)
    if on_device is not None and "engine" in on_device.bench.measurements:
        runs = on_device.bench.measurements["engine"].samples_ns
        blocks = [runs[first : first + BLOCK] for first in range(0, len(runs), BLOCK)]
        return _timed({shipped: [blocks]}, DEVICE)
    stored = _decoded(bundle, LATENCY, _Samples)
    if stored is None or not stored.instances:
        return {}
    names = [name for name in stored.instances[0] if all(name in one for one in stored.instances)]
    return _timed({name: [one[name] for one in stored.instances] for name in names}, LATENCY)


def _timed(blocks: Blocks, file: str) -> Blocks:
    kept = {
        name: [[block for block in instance if block] for instance in instances if any(instance)]
        for name, instances in blocks.items()
    }
    if any(
        ns <= 0 for instances in kept.values() for blocks in instances for block in blocks for ns in block
    ):
        raise _broken(file, "a duration is not above 0")
    return {name: instances for name, instances in kept.items() if instances}


def _decoded(bundle: Bundle, name: str, kind: Any) -> Any:
    """A file of the bundle; ``None`` where it has none."""
    if name not in bundle.manifest.files:
        return None
    try:
        return msgspec.json.decode((bundle.folder / name).read_bytes(), type=kind)
    except msgspec.DecodeError as error:
        raise _broken(name, str(error)) from error


def _converted(data: Any, kind: Any, name: str) -> Any:
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise _broken(name, str(error)) from error


def _broken(name: str, why: str) -> BundleError:
    return BundleError(f"{name} is not what a build writes: {why}", hint="build it again", file=name)
