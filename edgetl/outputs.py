"""What a command was asked to write, put in its place: whole, or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from edgetl import digest
from edgetl.cache import RECORD, out_of_space
from edgetl.errors import InputError
from edgetl.pipeline import Artifact
from edgetl.runtime.bundle import MANIFEST, PREPROCESS

__all__ = [
    "copy_artifact",
    "copy_files",
    "move_whole",
    "refuse_inside_bundle",
    "refuse_overwriting",
    "write_output",
]


def refuse_inside_bundle(out: Path) -> None:
    """Refuse a place in a bundle: one file that its manifest does not list, and no command opens it again.

    Raises
    ------
    InputError : ``out``, or a folder above it, is a bundle.
    """
    place = out.resolve()
    for folder in (place, *place.parents):
        # a manifest.json alone is also that of a web page or an extension
        if (folder / MANIFEST).is_file() and (folder / PREPROCESS).is_file():
            raise InputError(
                f"--out {out} is in the bundle {folder}, which holds only what its manifest lists",
                hint="another --out, beside the bundle",
            )


def refuse_overwriting(out: Path, read: Iterable[Path]) -> None:
    """Refuse to write over a file that is read.

    Raises
    ------
    InputError : ``out`` is one of them.
    """
    lost = next((place for place in read if place.resolve() == out.resolve()), None)
    if lost is not None:
        raise InputError(f"--out {out} would overwrite {lost}, which is read", hint="another --out")


def write_output(target: Path, data: bytes) -> None:
    """Write a file whole, or not at all."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / target.name
        file.write_bytes(data)
        move_whole(file, target)


def move_whole(source: Path, target: Path) -> None:
    """Give a file another place, where it appears whole or not at all."""
    with out_of_space(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial")
        try:
            shutil.move(source, partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


def copy_files(source: Path, target: Path, also_ours: Iterable[str] = ()) -> None:
    """Copy a folder's files beside the target, then give it its name; an older result of ours is replaced.

    Parameters
    ----------
    also_ours : names that an older result may have beside those of ``source``.

    Raises
    ------
    InputError : the target is a file, or holds files of other names.
    """
    with out_of_space(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_dir():
            raise InputError(f"{target} is a file, a folder is written there", hint="another --out")
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
        try:
            shutil.copytree(source, work, dirs_exist_ok=True)
            known = {*digest.tree_files(source), *also_ours}
            if target.exists():
                foreign = sorted(set(digest.tree_files(target)) - known)
                if foreign:
                    raise InputError(
                        f"{target} holds {foreign[0]}, which is not ours to replace", hint="another --out"
                    )
                shutil.rmtree(target)
            work.rename(target)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def copy_artifact(artifact: Artifact, target: Path, also_ours: Iterable[str] = ()) -> None:
    """An artifact's files without the store's own record."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in digest.tree_files(artifact.path):
            if name != RECORD:
                (Path(scratch) / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(artifact.path / name, Path(scratch) / name)
        copy_files(Path(scratch), target, also_ours)
