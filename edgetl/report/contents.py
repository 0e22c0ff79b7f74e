"""What is in a bundle, as lines: its facts, its files, and the layers that its engine executes."""

from __future__ import annotations

from collections.abc import Sequence

from edgetl.backends.tensorrt import plugin
from edgetl.ops import shipped
from edgetl.report.summary import bytes_text
from edgetl.runtime import Bundle
from edgetl.types import LayerInfo

__all__ = ["layer_lines", "lines"]

SHOWN_LABELS = 8
SLOWEST = 10


def lines(bundle: Bundle) -> list[str]:
    """Where it comes from, what it takes and names, and its files with their digests."""
    manifest, used = bundle.manifest, bundle.preprocess
    tools = ", ".join(f"{name} {version}" for name, version in sorted(manifest.versions.items()))
    return [
        f"  {manifest.name} · {manifest.model}, {manifest.method} method · "
        f"built {manifest.created} for {manifest.device}",
        f"  input      uint8 (N, {used.height}, {used.width}, 3) {used.color}, "
        f"mean {used.mean}, std {used.std} inside",
        *_answers(bundle),
        *_decision(bundle),
        f"  built with {tools}",
        "",
        *(
            f"  {name:<24} {bytes_text(entry.size):>10}  sha256 {entry.sha256[:16]}"
            for name, entry in manifest.files.items()
        ),
        "",
        *_kernel_lines(bundle),
    ]


def _answers(bundle: Bundle) -> list[str]:
    """The classes, or a line for each task."""
    if not bundle.tasks:
        return [f"  classes    {len(bundle.labels)}: {_named(bundle.labels)}"]
    wide = max(len(task.name) for task in bundle.tasks)
    told = [
        f"{task.name:<{wide}}  "
        + (f"{len(task.labels)}: {_named(task.labels)}" if task.labels else "a value")
        for task in bundle.tasks
    ]
    return [f"  {'' if place else 'outputs':<10} {line}" for place, line in enumerate(told)]


def _named(labels: Sequence[str]) -> str:
    return ", ".join(labels[:SHOWN_LABELS]) + (" ..." if len(labels) > SHOWN_LABELS else "")


def _decision(bundle: Bundle) -> list[str]:
    point = bundle.manifest.operating_point
    if point is None:
        return []
    on = f"{point.objective} on {point.images} select images, {point.positives} positive"
    return [f"  threshold  {point.positive!r} from {point.threshold:.3f} on ({on})"]


def _kernel_lines(bundle: Bundle) -> list[str]:
    """What the bundle brings for a device without a compiler, and what the fused head of its engine runs in."""
    brought = shipped.read(bundle.folder / shipped.FOLDER)
    told = [] if brought is None else shipped.told(brought)
    if bundle.manifest.pending is None and plugin.ORIGIN in bundle.engine.config:
        told.append(f"the engine's {plugin.LIBRARY}: {bundle.engine.config[plugin.ORIGIN]}")
    return [f"  kernels    {line}" for line in told]


def layer_lines(
    layers: Sequence[LayerInfo], precision: str, *, reorders: int, every_layer: bool
) -> list[str]:
    """Time by precision, then the slowest layers, or every one in the order they run."""
    timed = [layer for layer in layers if layer.microseconds]
    total = sum(layer.microseconds or 0.0 for layer in timed)
    by_precision: dict[str, list[float]] = {}
    for layer in timed:
        by_precision.setdefault(layer.precision, []).append(layer.microseconds or 0.0)
    told = [f"  engine     {precision}: {len(timed)} layers executed, {reorders} of them reorders"]
    for name, times in sorted(by_precision.items(), key=lambda item: -sum(item[1])):
        told.append(
            f"             {name:<6} {len(times):>4} layers {100 * sum(times) / total:>6.1f} % of the time"
        )
    shown = timed if every_layer else sorted(timed, key=lambda layer: -(layer.microseconds or 0.0))[:SLOWEST]
    told += ["", f"  {'layer':<48} {'kind':<14} {'runs in':<8} {'us':>8}"]
    told += [
        f"  {layer.name[:48]:<48} {layer.kind:<14} {layer.precision:<8} {layer.microseconds:>8.1f}"
        for layer in shown
    ]
    if len(shown) < len(timed):
        told.append(f"  the slowest {len(shown)} of {len(timed)}; --layers lists all")
    return told
