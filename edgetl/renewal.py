"""A finished bundle gets its engine, or a new one, in place: at every moment it is whole, the old or the new."""

from __future__ import annotations

import ctypes
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgetl import devices, digest, target
from edgetl.backends import folder as folders
from edgetl.backends.tensorrt import plugin
from edgetl.cache import out_of_space
from edgetl.candidate import fused_file
from edgetl.devices import DeviceProfile
from edgetl.errors import EnvironmentLacks, InputError
from edgetl.ops import shipped
from edgetl.report.result import REFERENCE_NOTE, WAITING_NOTE
from edgetl.runtime import Bundle, open_bundle
from edgetl.runtime import bundle as format_of
from edgetl.runtime.bundle import Manifest
from edgetl.types import Engine

__all__ = ["compile_bundle", "rewrite"]

AT_FDCWD = -100
RENAME_EXCHANGE = 2
UNTIMED = "on its accuracy alone: it was not timed against the others"
RENEWED_NOTE = "the engine was compiled again after the build: latencies are those of the one before"


def compile_bundle(
    place: Path,
    *,
    device: str | None,
    devices_file: Path | None,
    options: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Build the engine of a bundle that has none yet, or another one, from the bundle's own model.

    Parameters
    ----------
    device : a profile to compile for in place of the one that the bundle was built for.
    options : of the backend, laid over those of the profile.

    Raises
    ------
    BundleError : a byte of the bundle differs. InputError : it is an archive, or lacks the model.
    EnvironmentLacks : this host cannot build that engine, or the disk is full.
    """
    if place.is_file():
        raise InputError(
            f"{place.name} is an archive, whose engine cannot be replaced in place",
            hint=f"tar -xf {place.name}, then edgetl compile FOLDER",
        )
    bundle = open_bundle(place)
    wanted = _wanted(bundle, device, devices_file)
    wanted = msgspec.structs.replace(wanted, options=_options(bundle, wanted, options or {}))
    quantized = wanted.precision == "int8"
    model = target.quantized_file(wanted) if quantized else "model.fp32.onnx"
    fused = fused_file(model)
    if wanted.backend == "tensorrt" and fused in bundle.manifest.files:
        model = fused
    if model not in bundle.manifest.files:
        raise InputError(f"the bundle has no {model}", hint="it was built for another kind of device")

    def change(work: Path) -> Manifest:
        shutil.rmtree(work / "engine", ignore_errors=True)
        engine = folders.compile_into(work / model, wanted, work / "engine")
        results = _settled(bundle, engine, work / "engine")
        (work / format_of.RESULTS).write_bytes(digest.canonical_json(results))
        return msgspec.structs.replace(
            bundle.manifest, device=wanted.name, backend=engine.backend, pending=None
        )

    made = rewrite(bundle, change).engine
    by = (
        f", its fused head by {plugin.LIBRARY}: {made.config[plugin.ORIGIN]}"
        if plugin.ORIGIN in made.config
        else ""
    )
    return {"summary": f"{made.precision} for {made.backend} {made.device}{by}", **msgspec.to_builtins(made)}


def _options(bundle: Bundle, wanted: DeviceProfile, given: Mapping[str, str]) -> dict[str, Any]:
    """Those of the profile, with those that were given over them.

    A library that the profile names was put into the bundle where that was made, and need not be here.
    """
    own = dict(wanted.options)
    if f"{shipped.FOLDER}/{plugin.LIBRARY}" in bundle.manifest.files:
        own.pop("staticPlugins", None)
    return {**own, **given}


def _wanted(bundle: Bundle, device: str | None, devices_file: Path | None) -> DeviceProfile:
    """The profile to compile for, which this host has to be able to."""
    manifest = bundle.manifest
    profile = devices.load(devices_file).find(device or manifest.device)
    if device is None:  # --backend of the build may have taken another than the profile's own
        profile = msgspec.structs.replace(profile, backend=manifest.backend)
    runs_on, pending = target.where_it_runs(profile)
    if pending is not None:
        raise EnvironmentLacks(
            pending["reason"],
            hint=f"edgetl compile BUNDLE there, or edgetl build --device {profile.name} --host user@device ... "
            "from here; --device NAME compiles for another profile",
            device=profile.name,
        )
    return msgspec.structs.replace(runs_on, precision=manifest.precision)


def _settled(bundle: Bundle, engine: Engine, folder: Path) -> dict[str, Any]:
    """What the build measured, without what was left to do, and what the engine is now."""
    results = {name: value for name, value in bundle.results.items() if name != "pending"}
    if bundle.manifest.pending is not None and "shipped" in results:
        results["shipped"] = {**results["shipped"], "reason": UNTIMED}
    shipped = results.get("shipped", {}).get("candidate", engine.precision)
    size = sum(file.stat().st_size for file in folder.iterdir() if file.name != folders.RECORD)
    results["size_bytes"] = {**results.get("size_bytes", {}), shipped: size}
    results["engine"] = {
        "backend": engine.backend,
        "device": engine.device,
        "precision": engine.precision,
        "built_with": engine.built_with,
    }
    notes = [note for note in results.get("notes", ()) if note not in (WAITING_NOTE, RENEWED_NOTE)]
    results["notes"] = [*notes, *_note(bundle, results)]
    return results


def _note(bundle: Bundle, results: dict[str, Any]) -> list[str]:
    """What of the figures is not this engine's."""
    if results.get("accuracy", {}).get("reference_only"):
        return [] if REFERENCE_NOTE in results["notes"] else [REFERENCE_NOTE]
    return [RENEWED_NOTE] if bundle.manifest.pending is None else []


def rewrite(bundle: Bundle, change: Callable[[Path], Manifest]) -> Bundle:
    """Change a copy of a bundle, seal it, and put it into the bundle's place in one step.

    Parameters
    ----------
    change : edits the files of the folder that it is given, and returns what the manifest says besides them.

    Raises
    ------
    EnvironmentLacks : the disk is full or cannot be written; the bundle is what it was.
    """
    home = bundle.folder.parent
    with out_of_space(home):
        work = home / f".{uuid.uuid4().hex}.partial"
        work.mkdir()
        try:
            for name in bundle.manifest.files:
                (work / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(bundle.folder / name, work / name)
            facts = change(work)
            format_of.seal(work, msgspec.structs.replace(facts, files={}, sha256=""))
            _exchange(work, bundle.folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return open_bundle(bundle.folder)


def _exchange(new: Path, old: Path) -> None:
    """Let two folders change names. Linux does it in one step; where a file system cannot, in two renames."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    names = (AT_FDCWD, os.fsencode(new), AT_FDCWD, os.fsencode(old))
    if renameat2 is not None and renameat2(*names, RENAME_EXCHANGE) == 0:
        return
    aside = old.with_name(f".{uuid.uuid4().hex}.partial")
    old.rename(aside)
    try:
        new.rename(old)
    except OSError:
        aside.rename(old)
        raise
    aside.rename(new)
