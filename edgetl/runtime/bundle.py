"""The bundle: a folder that says what it holds, and is refused where it holds anything else.

``docs/formats.md`` describes it for readers in other languages.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl import digest
from edgetl.errors import BundleError, EnvironmentLacks
from edgetl.tasks import Tasks
from edgetl.types import USUAL, Engine, OperatingPoint, Preprocess, Reading, Record

__all__ = ["ENGINE", "GOLDEN", "Adapted", "Bundle", "FileEntry", "Manifest", "Pending", "open_bundle", "seal"]

SCHEMA, SEVERAL = 1, 2
"""Of one class label; and of several tasks, which older readers would take for classes of one."""
MANIFEST = "manifest.json"
ENGINE = "engine/engine.json"
LABELS = "labels.json"
TASKS = "tasks.json"
PREPROCESS = "preprocess.json"
RESULTS = "results.json"
GOLDEN = "golden.npz"
MAX_MANIFEST_BYTES = 4 << 20
MAX_FILES = 1000


class FileEntry(Record, frozen=True, kw_only=True):
    """Digest and size in bytes of one file."""

    sha256: str
    size: int


class Pending(Record, frozen=True, kw_only=True):
    """Why there is no engine yet, and what makes one."""

    reason: str
    next: tuple[str, ...]


class Adapted(Record, frozen=True, kw_only=True):
    """To what a network was fitted after its training, without labels.

    Attributes
    ----------
    method : ``adabn``, ``coral``, ``dann`` or ``tent``. frames : how many; digest : of them.
    gain_pt, gain_ci95_pt, n : points of top-1 on so many labelled frames, f32; ``None`` and 0 where none has a label.
    """

    method: str
    frames: int
    digest: str
    gain_pt: float | None = None
    gain_ci95_pt: tuple[float, float] | None = None
    n: int = 0


class Manifest(Record, frozen=True, kw_only=True):
    """What a bundle is.

    Attributes
    ----------
    device : the profile it was built for. backend, precision : of the engine.
    model, method : what was trained how. created : UTC, ISO 8601.
    training : how the data was made up for (``augment``, ``imbalance``); of ``auto``, what it ``picked`` and why; the
        ``teacher``, the trainings from several ``seeds``, and what they ``compare`` to. seed : of the one that ships.
    data : digest of the data set, and of each role of it. reading : how it was read. versions : tools that made it.
    caller_commit : git commit of the folder the build ran in, where there was one.
    weights_licence : where the weights state one.
    operating_point : how two classes are decided between; ``None`` answers the likelier one.
    sha256 : of this record's canonical JSON without this field.
    """

    schema: int
    name: str
    created: str
    device: str
    backend: str
    precision: str
    task: str
    model: str
    method: str
    training: dict[str, Any] = {}
    seed: int
    data: dict[str, str]
    reading: Reading = USUAL
    versions: dict[str, str]
    caller_commit: str | None = None
    weights_licence: str | None = None
    operating_point: OperatingPoint | None = None
    pending: Pending | None = None
    adapted: Adapted | None = None
    files: dict[str, FileEntry]
    sha256: str = ""


class Bundle:
    """An opened bundle whose every byte was checked.

    Attributes
    ----------
    folder : where it is. manifest : what it is. labels : class names, in the order of the logits.
    tasks : what its outputs answer, where that is not one class; ``labels`` then names each number of a row.
    preprocess : how a picture becomes its input.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self.labels: tuple[str, ...] = self._read(LABELS, tuple[str, ...])
        self.tasks: Tasks = self._read(TASKS, Tasks) if TASKS in manifest.files else ()
        self.preprocess: Preprocess = self._read(PREPROCESS, Preprocess)

    @property
    def engine(self) -> Engine:
        """The engine's record; its files are in ``engine_folder``.

        Raises
        ------
        EnvironmentLacks : the engine is still to be built on the device.
        """
        pending = self.manifest.pending
        if pending is not None:
            raise EnvironmentLacks(
                f"this bundle has no engine yet: {pending.reason}", hint="; then ".join(pending.next)
            )
        engine: Engine = self._read(ENGINE, Engine)
        for name in engine.files:
            if f"engine/{name}" not in self.manifest.files:
                raise BundleError(
                    f"{ENGINE} names {name!r}, which is not in the manifest: no vendor library opens it",
                    hint="do not trust this bundle",
                    file=ENGINE,
                )
        return engine

    @property
    def engine_folder(self) -> Path:
        """Where the engine's files are."""
        return self.folder / "engine"

    @property
    def results(self) -> Mapping[str, Any]:
        """What the build measured."""
        found: Mapping[str, Any] = self._read(RESULTS, dict[str, Any])
        return found

    def golden(self) -> dict[str, npt.NDArray[Any]]:
        """Held-out pictures and what was answered.

        Returns
        -------
        ``inputs``, uint8 (N, height, width, 3) as the engine takes them; ``logits`` of the shipped engine and
        ``logits_f32``, float32 (N, classes).
        """
        file = self._listed(GOLDEN)
        try:
            with np.load(file, allow_pickle=False) as stored:
                return {name: stored[name] for name in ("inputs", "logits", "logits_f32")}
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise BundleError(
                f"{GOLDEN} is not what this version writes: {error}", hint="build it again", file=GOLDEN
            ) from error

    def _listed(self, name: str) -> Path:
        if name not in self.manifest.files:
            raise BundleError(f"{self.folder.name} has no {name}", hint="build it again", file=name)
        return self.folder / name

    def _read(self, name: str, kind: Any) -> Any:
        file = self._listed(name)
        try:
            return msgspec.json.decode(file.read_bytes(), type=kind)
        except msgspec.DecodeError as error:
            raise BundleError(
                f"{name} is not what this version writes: {error}", hint="build it again", file=name
            ) from error


def seal(folder: Path, facts: Manifest) -> Manifest:
    """List every file of a folder in a manifest and write it there.

    Parameters
    ----------
    facts : a manifest with ``files`` and ``sha256`` still empty.
    """
    _, table = digest.of_tree(folder)
    files = {name: FileEntry(**entry) for name, entry in table.items()}
    whole = msgspec.structs.replace(facts, files=files, sha256="")
    whole = msgspec.structs.replace(whole, sha256=_own_digest(msgspec.to_builtins(whole)))
    (folder / MANIFEST).write_bytes(digest.canonical_json(whole))
    return whole


def _own_digest(manifest: Mapping[str, Any]) -> str:
    return digest.of_json({key: value for key, value in manifest.items() if key != "sha256"})


def open_bundle(path: Path) -> Bundle:
    """Open a bundle after checking schema, manifest, and every byte of every file.

    Raises
    ------
    BundleError : it is no bundle, of a newer schema, or not byte for byte what its manifest says; the file
        is named.
    """
    folder = path.resolve()
    manifest = _manifest(folder, path)
    on_disk = _regular_files(folder)
    listed = set(manifest.files)
    for name in sorted(listed):
        _checked_name(name)
    missing, extra = sorted(listed - on_disk), sorted(on_disk - listed - {MANIFEST})
    if missing:
        raise BundleError(
            f"{missing[0]} is listed in the manifest and missing",
            hint="copy the bundle again",
            file=missing[0],
        )
    if extra:
        raise BundleError(
            f"{extra[0]} is not listed in the manifest",
            hint="remove it, or copy the bundle again",
            file=extra[0],
        )
    for name, entry in sorted(manifest.files.items()):
        if not _is(folder / name, entry):
            raise BundleError(
                f"{name} is not the file that was written: its sha256 differs",
                hint="copy the bundle again",
                file=name,
            )
    return Bundle(folder, manifest)


def _is(file: Path, entry: FileEntry) -> bool:
    """Whether a file is what the manifest says; the size first, so that no one hashes a terabyte."""
    try:
        return file.stat().st_size == entry.size and digest.of_file(file) == entry.sha256
    except OSError as error:
        raise BundleError(
            f"{file.name} cannot be read: {error.strerror}", hint="copy the bundle again", file=file.name
        ) from error


def _manifest(folder: Path, called: Path) -> Manifest:
    file = folder / MANIFEST
    if not file.is_file():
        what = f"no bundle, it has no {MANIFEST}" if folder.exists() else "there is no such bundle or folder"
        raise BundleError(
            f"{called}: {what}",
            hint="edgetl build writes one; runs/latest is the newest",
        )
    if file.stat().st_size > MAX_MANIFEST_BYTES:
        raise BundleError(
            f"{MANIFEST} is over {MAX_MANIFEST_BYTES} bytes", hint="copy the bundle again", file=MANIFEST
        )
    data = file.read_bytes()
    broken = BundleError(
        f"{MANIFEST} is not the file that was written", hint="copy the bundle again", file=MANIFEST
    )
    try:
        body = json.loads(data)
        if not isinstance(body, dict) or not isinstance(body.get("schema"), int):
            raise broken
        if body["schema"] > SEVERAL:
            raise BundleError(
                f"the bundle has schema {body['schema']}, this edgetl reads up to {SEVERAL}",
                hint="pip install --upgrade edgetl",
                schema=body["schema"],
            )
        if (
            body["schema"] < 1
            or digest.canonical_json(body) != data
            or body.get("sha256") != _own_digest(body)
        ):
            raise broken
        manifest = msgspec.convert(body, Manifest)
    except (ValueError, msgspec.ValidationError, RecursionError) as error:
        raise broken from error
    if len(manifest.files) > MAX_FILES:
        raise BundleError(
            f"the manifest lists {len(manifest.files)} files, at most {MAX_FILES} are read",
            hint="do not trust this bundle",
        )
    return manifest


def _checked_name(name: str) -> None:
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or "\\" in name or not place.parts or str(place) != name:
        raise BundleError(
            f"{name!r} in the manifest leaves the bundle", hint="do not trust this bundle", file=name
        )


def _regular_files(folder: Path) -> set[str]:
    """Names of every file below a folder.

    Raises
    ------
    BundleError : one is a link or a device.
    """
    found = set()
    for place, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(place, name)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                inside = path.relative_to(folder).as_posix()
                raise BundleError(
                    f"{inside} is a link or a device", hint="a bundle holds plain files only", file=inside
                )
        found |= {Path(place, name).relative_to(folder).as_posix() for name in names}
    return found
