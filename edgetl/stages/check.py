"""check: decode every picture once, drop what cannot be read, refuse leakage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgetl import digest
from edgetl.data.check import CheckReport, inspect
from edgetl.data.layout import Dataset
from edgetl.pipeline import Artifact, Context, Stage

__all__ = ["DATASET", "dataset_of", "report_of", "stage"]

DATASET = "dataset.json"
REPORT = "check.json"


def stage(dataset: Dataset, root: Path) -> Stage:
    """The check of a scanned data set whose files are below ``root``."""

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        report = inspect(dataset, root, on_progress=ctx.advance)
        (out / DATASET).write_bytes(digest.canonical_json(report.usable))
        (out / REPORT).write_bytes(digest.canonical_json(report))
        usable = report.usable
        counts = {role: sum(s.role == role for s in usable.samples) for role in ("train", "select", "test")}
        return {
            "summary": report.summary(),
            "classes": list(usable.classes),
            "counts": counts,
            "data_digest": usable.digest,
            "role_digests": usable.role_digests(),
            "warnings": list(report.warnings),
        }

    return Stage("check", 2, (), {"data": dataset.digest}, {}, run)


def dataset_of(check: Artifact) -> Dataset:
    """The usable samples that the check left."""
    return msgspec.json.decode((check.path / DATASET).read_bytes(), type=Dataset)


def report_of(check: Artifact) -> CheckReport:
    """What was found."""
    return msgspec.json.decode((check.path / REPORT).read_bytes(), type=CheckReport)
