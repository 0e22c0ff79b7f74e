"""package: everything that a device and an auditor need, in one folder that cannot be half written."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgetl import digest, models
from edgetl.cache import out_of_space
from edgetl.candidate import precision_of
from edgetl.data import shards
from edgetl.devices import DeviceProfile
from edgetl.ops.shipped import FOLDER
from edgetl.pipeline import Artifact
from edgetl.quantize import fused_reference
from edgetl.report.result import Outcome
from edgetl.runtime import archive, bundle
from edgetl.runtime.prediction import PROBABILITIES, as_logits
from edgetl.stages import bench, explain, fuse, judge, kernels, prepare, refine, search, verify
from edgetl.types import BuildSpec, OperatingPoint

__all__ = ["Written", "check_place", "write"]

GOLDEN_IMAGES = 8
ABANDONED_SECONDS = 3600.0
"""Writing a bundle takes seconds: a temporary folder as old as this was left by a build that was killed."""
TOOLS = ("edgetl", "torch", "torchvision", "timm", "peft", "onnx", "onnxruntime", "openvino", "numpy")


@dataclass(frozen=True)
class Written:
    """Where a bundle is; ``latest`` is the link that points to the newest."""

    folder: Path
    latest: Path
    archive: Path | None


def check_place(out: Path) -> None:
    """Refuse a place that cannot be written now, not after the training.

    Raises
    ------
    EnvironmentLacks : nothing can be written there.
    """
    place = out.absolute()
    while not place.exists():
        place = place.parent
    with out_of_space(place), tempfile.TemporaryFile(dir=place):
        pass


def write(
    spec: BuildSpec, profile: DeviceProfile, artifacts: Mapping[str, Artifact], outcome: Outcome, source: Path
) -> Written:
    """Write the bundle of a build beside its place, and rename it there.

    Parameters
    ----------
    source : the data, whose name the bundle takes where none was given.

    Raises
    ------
    EnvironmentLacks : the place is full or cannot be written.
    """
    out = Path(spec.out)
    name = spec.name or (spec.data if spec.data == "demo" else shards.name_of(source.resolve()))
    now = datetime.now(timezone.utc)
    with out_of_space(out):
        home = out / name
        home.mkdir(parents=True, exist_ok=True)
        work = home / f".{uuid.uuid4().hex}.partial"
        work.mkdir()
        _sweep(home, work)
        try:
            _fill(work, artifacts, outcome)
            bundle.seal(work, _facts(spec, profile, artifacts, outcome, name, now))
            folder = _settle(work, home, now)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        latest = _point(out / "latest", folder)
        packed = archive.pack(folder, folder.with_name(f"{folder.name}.tar")) if spec.archive else None
    return Written(folder, latest, packed)


def _sweep(home: Path, fresh: Path) -> None:
    """Remove what killed builds left; other builds may be writing their bundles here right now."""
    now = fresh.stat().st_mtime  # by the clock of the disk that also dates the others
    for left in home.glob(".*.partial"):
        with contextlib.suppress(FileNotFoundError):
            if now - left.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _fill(work: Path, artifacts: Mapping[str, Artifact], outcome: Outcome) -> None:
    """Copy and write everything but the manifest."""
    shipped = outcome.data["shipped"]["candidate"]
    shutil.copyfile(artifacts["export"].path / "model.onnx", work / "model.fp32.onnx")
    int8 = artifacts.get(search.NAME) or artifacts.get(refine.final())
    if int8 is not None:
        shutil.copyfile(int8.path / "model.onnx", work / "model.int8.onnx")
        shutil.copyfile(artifacts["calibrate"].path / "calibration.json", work / "calibration.json")
    if "halve" in artifacts:
        shutil.copyfile(artifacts["halve"].path / "model.onnx", work / "model.int8.fp16.onnx")
    fused = _fused(artifacts, shipped, pending="pending" in outcome.data)
    for name, artifact in fused.items():
        shutil.copyfile(artifact.path / "model.onnx", work / name)
    if kernels.NAME in artifacts:
        shutil.copytree(artifacts[kernels.NAME].path / FOLDER, work / FOLDER)
    if "pending" not in outcome.data:
        shutil.copytree(artifacts[f"compile:{shipped}"].path / "engine", work / "engine")
    if "bench" in artifacts:
        shutil.copyfile(artifacts["bench"].path / bench.SAMPLES, work / bench.SAMPLES)
    executed = explain.executed(artifacts)
    if executed:
        (work / explain.LAYERS).write_bytes(digest.canonical_json(executed))
    (work / bundle.LABELS).write_bytes(digest.canonical_json(artifacts["check"].record["classes"]))
    asked = prepare.tasks_of(artifacts["prepare"])
    if asked:
        (work / bundle.TASKS).write_bytes(digest.canonical_json(asked))
    (work / bundle.PREPROCESS).write_bytes(digest.canonical_json(artifacts["prepare"].record["preprocess"]))
    (work / bundle.RESULTS).write_bytes(digest.canonical_json(outcome.data))
    waits = next(iter(fused), None) if "pending" in outcome.data else None
    _write_golden(work / bundle.GOLDEN, artifacts, shipped, None if waits is None else work / waits)


def _fused(artifacts: Mapping[str, Artifact], shipped: str, *, pending: bool) -> dict[str, Artifact]:
    """Models with a fused head that the device may compile: of the precision that ships, by their names.

    An f32 engine that was built here is plain, and stays so.
    """
    sources = [source for source in fuse.FILES if (source != "export") == (precision_of(shipped) == "int8")]
    if shipped == "f32" and not pending:
        return {}
    made = [artifacts[name] for name in map(fuse.name_of, sources) if name in artifacts]
    return {artifact.record["file"]: artifact for artifact in made}


def _write_golden(file: Path, artifacts: Mapping[str, Artifact], shipped: str, fused: Path | None) -> None:
    """A few held-out inputs as the engine sees them, with what f32 and the shipped engine answered.

    Parameters
    ----------
    fused : the model of an engine that is still to be built, with a head that no engine here runs.
    """
    pictures = prepare.images(artifacts.get(judge.NAME, artifacts["prepare"]), "test")
    rows = np.unique(np.linspace(0, len(pictures) - 1, min(GOLDEN_IMAGES, len(pictures))).astype(int))
    inputs = np.ascontiguousarray(pictures[rows])
    logits = verify.logits(artifacts[f"verify:{shipped}"], "test")[rows]
    if fused is not None:
        logits = as_logits(PROBABILITIES, fused_reference.answers(fused, inputs)[PROBABILITIES])
    np.savez(
        file,
        inputs=inputs,
        logits_f32=verify.logits(artifacts["verify:f32"], "test")[rows],
        logits=logits,
    )


def _facts(
    spec: BuildSpec,
    profile: DeviceProfile,
    artifacts: Mapping[str, Artifact],
    outcome: Outcome,
    name: str,
    now: datetime,
) -> bundle.Manifest:
    card = models.find(spec.model)
    pending = outcome.data.get("pending")
    checked = artifacts["check"].record
    return bundle.Manifest(
        schema=bundle.SEVERAL if "tasks" in checked else bundle.SCHEMA,
        name=name,
        created=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        device=profile.name,
        backend=outcome.data["shipped"]["backend"],
        precision=outcome.data["shipped"]["precision"],
        task=outcome.data.get("task", "classify"),
        model=spec.model,
        method=spec.method,
        training=dict(outcome.data["training"]),
        seed=spec.seed,
        data={"all": checked["data_digest"], **checked["role_digests"], **_tested_elsewhere(artifacts)},
        reading=spec.reading(),
        versions=_versions(),
        caller_commit=_commit(),
        weights_licence=(card.licence or None) if card and spec.weights == "DEFAULT" else None,
        operating_point=_operating_point(outcome),
        pending=bundle.Pending(reason=pending["reason"], next=tuple(pending["next"])) if pending else None,
        adapted=_adapted(outcome.data.get("adaptation")),
        files={},
    )


def _tested_elsewhere(artifacts: Mapping[str, Artifact]) -> dict[str, str]:
    """Digests of what accuracy was reported on, and of the labelled data's test images, where these are others."""
    if judge.NAME not in artifacts:
        return {}
    own, reported = artifacts["check"].record["role_digests"], artifacts[judge.NAME].record["role_digests"]
    return {**reported, **({"source_test": own["test"]} if reported["test"] != own["test"] else {})}


def _operating_point(outcome: Outcome) -> OperatingPoint | None:
    found = outcome.data.get("operating_point")
    return None if found is None else msgspec.convert(found, OperatingPoint)


def _adapted(told: Mapping[str, Any] | None) -> bundle.Adapted | None:
    if told is None:
        return None
    return bundle.Adapted(
        **{name: told[name] for name in ("method", "frames", "digest", "gain_pt", "gain_ci95_pt")},
        n=0 if told["gain"] is None else told["gain"]["n"],
    )


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in TOOLS:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _commit() -> str | None:
    """The git commit of the folder that the build was called in."""
    try:
        told = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 (the user's own git)
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.stdout.strip() or None


def _settle(work: Path, home: Path, now: datetime) -> Path:
    """Give a whole folder its name: the UTC time, with a number where two builds end in one second."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    for number in range(1000):
        folder = home / (stamp if not number else f"{stamp}-{number}")
        try:
            work.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            continue
        return folder
    raise FileExistsError(home / stamp)


def _point(link: Path, folder: Path) -> Path:
    """Make ``latest`` point at a bundle, in one step; a relative link, so that the whole tree may move."""
    fresh = link.with_name(f".latest.{uuid.uuid4().hex}")
    try:
        fresh.symlink_to(os.path.relpath(folder, link.parent))
        fresh.replace(link)
    finally:
        fresh.unlink(missing_ok=True)
    return link
