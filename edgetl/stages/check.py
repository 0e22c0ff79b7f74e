"""check: decode every picture once, drop what cannot be read, refuse leakage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl import digest
from edgetl.data.check import CheckReport, inspect
from edgetl.data.layout import Dataset
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.types import Role

__all__ = ["DATASET", "dataset_of", "groups_of", "report_of", "stage"]

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
            **({"tasks": msgspec.to_builtins(usable.tasks)} if usable.tasks else {}),
            "counts": counts,
            "data_digest": usable.digest,
            "role_digests": usable.role_digests(),
            "warnings": list(report.warnings),
        }

    told = {"grouped_by": dataset.grouped_by, "shared_ids": dataset.shared_ids}  # what only the report says
    options = {"data": dataset.digest, **{name: value for name, value in told.items() if value}}
    return Stage("check", 2, (), options, {}, run)


def dataset_of(check: Artifact) -> Dataset:
    """The usable samples that the check left."""
    return msgspec.json.decode((check.path / DATASET).read_bytes(), type=Dataset)


def groups_of(check: Artifact, role: Role) -> npt.NDArray[np.int64] | None:
    """Which group each sample of a role is of, int64 (N,); ``None`` where samples are not grouped."""
    dataset = dataset_of(check)
    if not dataset.grouped_by:
        return None
    names = [s.group for s in dataset.samples if s.role == role]
    return np.unique(np.array(names), return_inverse=True)[1].reshape(-1).astype(np.int64)


def report_of(check: Artifact) -> CheckReport:
    """What was found."""
    return msgspec.json.decode((check.path / REPORT).read_bytes(), type=CheckReport)
