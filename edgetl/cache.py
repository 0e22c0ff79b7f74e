"""Content-addressed store of whole artifacts.

``<root>/<first two digits>/<key>/`` holds the files and ``record.json`` (key parts, the stage's record, the
digest of every file). An entry is written under a temporary name and renamed, so that a reader sees all of it
or nothing; what a killed writer left under a temporary name is swept by the next writer of the same key.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from edgetl import digest
from edgetl.errors import EnvironmentLacks

__all__ = ["Cache", "Entry", "Writing", "out_of_space"]

RECORD = "record.json"
SCHEMA = 1


@dataclass(frozen=True)
class Entry:
    """A whole artifact in the store."""

    path: Path
    record: Mapping[str, Any]
    digest: str


class Writing:
    """An artifact being written; ``commit`` makes it whole."""

    def __init__(self, path: Path, final: Path, key: str, parts: Mapping[str, Any]) -> None:
        self.path = path
        self._final = final
        self._key = key
        self._parts = parts

    def commit(self, record: Mapping[str, Any]) -> Entry:
        """Digest what was written, record it, and give it its final name."""
        tree, files = digest.of_tree(self.path)
        identity = digest.of_json({"files": tree, "record": record})
        body = {
            "schema": SCHEMA,
            "key": self._key,
            "parts": self._parts,
            "record": record,
            "files": files,
            "digest": identity,
        }
        (self.path / RECORD).write_bytes(digest.canonical_json(body))
        for name in [*files, RECORD]:
            _sync(self.path / name)
        if self._final.exists():  # forced again, or an entry that failed its check
            shutil.rmtree(self._final)
        self.path.rename(self._final)
        return Entry(self._final, record, identity)


class Cache:
    """The store below one folder.

    Parameters
    ----------
    root : created on first use.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def _place(self, key: str) -> Path:
        return self.root / key[:2] / key

    def get(self, key: str) -> Entry | None:
        """The entry under a key if it is there and every byte is what was written; else ``None``."""
        path = self._place(key)
        try:
            body = json.loads((path / RECORD).read_bytes())
            if body["schema"] != SCHEMA or body["key"] != key:
                return None
            names = [name for name in digest.tree_files(path) if name != RECORD]
            tree, files = digest.of_tree(path, names)
            identity = digest.of_json({"files": tree, "record": body["record"]})
        except (OSError, ValueError, KeyError, TypeError):
            return None  # absent, cut short or damaged: the stage runs again
        if files != body["files"] or identity != body["digest"]:
            return None
        os.utime(path)  # the clock of evict
        return Entry(path, body["record"], identity)

    def parts(self, key: str) -> Mapping[str, Any] | None:
        """What the key of a stored entry was made of."""
        try:
            found: Mapping[str, Any] = json.loads((self._place(key) / RECORD).read_bytes())["parts"]
        except (OSError, ValueError, KeyError):
            return None
        return found

    def newest(self, stage: str) -> Mapping[str, Any] | None:
        """Key parts of the newest entry of a stage, to say what changed since."""
        records = sorted(self.root.glob(f"*/*/{RECORD}"), key=lambda p: p.stat().st_mtime, reverse=True)
        for record in records:
            parts = self.parts(record.parent.name)
            if parts is not None and parts.get("stage") == stage:
                return parts
        return None

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold a key against other processes; waits for whoever has it."""
        place = self._place(key)
        with out_of_space(self.root):
            place.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(f"{place}.lock")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def writing(self, key: str, parts: Mapping[str, Any]) -> Iterator[Writing]:
        """An empty folder to write an entry into; removed again unless it was committed."""
        final = self._place(key)
        work = final.with_name(f"{key}.partial")
        with out_of_space(self.root):
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            try:
                yield Writing(work, final, key, parts)
            finally:
                shutil.rmtree(work, ignore_errors=True)

    def size_bytes(self) -> int:
        """Bytes below the root."""
        return sum(p.stat().st_size for p in self.root.rglob("*") if p.is_file())

    def evict(self, keep_bytes: int) -> int:
        """Remove the longest unused entries until at most ``keep_bytes`` are left; the bytes removed."""
        entries = sorted((r.parent for r in self.root.glob(f"*/*/{RECORD}")), key=lambda p: p.stat().st_mtime)
        total, removed = self.size_bytes(), 0
        for entry in entries:
            if total - removed <= keep_bytes:
                break
            with self.lock(entry.name):
                size = sum(p.stat().st_size for p in entry.rglob("*") if p.is_file())
                doomed = entry.with_name(f"{entry.name}.{time.time_ns()}.partial")
                entry.rename(doomed)
                shutil.rmtree(doomed)
            removed += size
        return removed


@contextmanager
def out_of_space(place: Path) -> Iterator[None]:
    """Turn the system's refusal to write into an error that names the place and the mend."""
    try:
        yield
    except OSError as error:
        import errno

        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise EnvironmentLacks(
                f"no space left for {place.name}/: the disk is full",
                hint="free some, or point EDGETL_CACHE and --out at another disk",
                place=place.name,
            ) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise EnvironmentLacks(
                f"cannot write to {place}: {error.strerror}",
                hint="point EDGETL_CACHE and --out at a folder that can be written",
                place=place.name,
            ) from error
        raise


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
