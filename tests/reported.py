"""A bundle made by hand with all that a report shows: the figures are made up, and follow from a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgetl import digest
from edgetl.bench.comparison import Comparison
from edgetl.bench.context import Context
from edgetl.data import layout
from edgetl.runtime import bundle as format_of
from edgetl.types import LayerInfo, Mistake
from edgetl.verify.metrics import ClassMetrics, Estimate, Metrics
from tests import handmade

NAMES = ("f32", "default", "int8")
HOST = Context(cpu="a CPU", cores=2, usable_cores=2, governor="performance", clock_mhz=2000.0, load=0.1)


def fill(
    folder: Path,
    pictures: Path,
    *,
    p50_ms: float = 2.0,
    seed: int = 0,
    host: Context = HOST,
    measured: Comparison | None = None,
) -> Path:
    """Put results, latencies and layers into a bundle made by hand, and seal it again.

    Parameters
    ----------
    measured : latencies in the place of those that follow from ``p50_ms``, ``seed`` and ``host``.
    """
    timed = _comparison(p50_ms, seed, host) if measured is None else measured
    write(folder, "results.json", results(pictures, timed))
    write(folder, "latency.json", timed)
    write(folder, "layers.json", {name: layers(name) for name in NAMES})
    return handmade.reseal(folder)


def write(folder: Path, name: str, content: Any) -> None:
    """One JSON file of a bundle."""
    (folder / name).write_bytes(digest.canonical_json(content))


def _comparison(p50_ms: float, seed: int, host: Context) -> Comparison:
    rng = random.Random(seed)
    speed = {"f32": 3.0, "default": 2.0, "int8": 1.0}
    instances = tuple(
        {
            name: [
                [round(1e6 * p50_ms * factor * rng.lognormvariate(0, 0.03)) for _ in range(20)]
                for _ in range(6)
            ]
            for name, factor in speed.items()
        }
        for _ in range(12)
    )
    return Comparison(baseline="default", instances=instances, context=(host, host))


def results(pictures: Path, timed: Comparison) -> dict[str, Any]:
    """What ``results.json`` holds, as far as a report reads it: one red picture was taken for brown."""
    classes, count = len(handmade.CENTRES), handmade.TEST_IMAGES
    tested = [s for s in layout.scan(pictures, seed=0).samples if s.role == "test"]
    red = list(handmade.CENTRES).index("red")
    worst = next(s for s in tested if s.label == red)
    total = count * classes
    cells = [(k, k, count - (k == red)) for k in range(classes)] + [(red, 1, 1)]
    right = (total - 1) / total
    return {
        "accuracy": {
            "fp32": 1.0,
            "default": 1.0,
            "int8": right,
            "shipped": right,
            "n": total,
            "drop_pt": 100 * (1 - right),
            "drop_ci95_pt": [-1.0, 3.0],
            "budget_pt": 1.0,
            "verdict": "unproven",
            "sentence": "drop 0.89 points: within; 112 images cannot prove it",
            "worst_class": "worst class red",
            "per_class_recall": [
                {"class": name, "n": count, "recall": (count - (name == "red")) / count, "ci95": [0.7, 1.0]}
                for name in ("red", *(other for other in handmade.CENTRES if other != "red"))
            ],
            "confusion": sorted(cells),
            "metrics": {name: _metrics() for name in ("shipped", "fp32")},
            "decision": [
                "'red' from 0.310 on (recall@0.95 on 42 select images, 6 positive)",
                "recall 93.8 %",
            ],
            "reference_only": False,
        },
        "worst_images": [
            Mistake(
                path=worst.path,
                sha256=worst.sha256,
                label=red,
                answer=1,
                probability=0.9,
                true_probability=0.05,
            )
        ],
        "shipped": {"candidate": "int8", "precision": "int8", "backend": "openvino", "reason": "the fastest"},
        "latency_ms": {name: timed.latency_ms(name) for name in NAMES},
        "size_bytes": {"f32": 6_100_000, "default": 6_100_000, "int8": 1_800_000},
        "context": timed.context[0],
        "notes": ["two pictures look alike"],
    }


def _metrics() -> Metrics:
    """Every class told from the others, red least."""
    spread = (0.9, 0.99)
    classes = [
        ClassMetrics(
            name=name,
            n=handmade.TEST_IMAGES,
            roc_auc=Estimate(value=0.951 if name == "red" else 0.98, ci95=spread),
            average_precision=Estimate(value=0.912, ci95=spread),
        )
        for name in handmade.CENTRES
    ]
    return Metrics(by_class=tuple(classes), calibration_error=Estimate(value=0.043, ci95=(0.01, 0.08)))


def layers(name: str, scale: float = 1.0) -> list[LayerInfo]:
    """What an engine executes: two convolutions, and a reorder where it is quantized."""
    kind = "u8" if name == "int8" else "f32"
    return [
        LayerInfo(
            name="stem", kind="Convolution", precision=kind, microseconds=100 * scale, origin="stem,relu"
        ),
        LayerInfo(name="view", kind="Reshape", precision=kind, microseconds=0.0, origin="view"),
        LayerInfo(name="head", kind="FullyConnected", precision="f32", microseconds=30.0, origin="head"),
    ]


def rename(folder: Path, **changed: Any) -> Path:
    """Change facts of the manifest, such as its name, and seal it again."""
    stored = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=format_of.Manifest)
    facts = msgspec.structs.replace(stored, files={}, sha256="", **changed)
    (folder / "manifest.json").unlink()
    format_of.seal(folder, facts)
    return folder


def change(folder: Path, file: str, **changed: Any) -> Path:
    """Replace keys of a JSON file of a bundle, and seal it again."""
    body: Mapping[str, Any] = msgspec.json.decode((folder / file).read_bytes())
    write(folder, file, {**body, **changed})
    return handmade.reseal(folder)
