"""Content-addressed store of whole artifacts.

``<root>/<first two digits>/<key>/`` holds the files and ``record.json`` (key parts, the stage's record, the
digest of every file). An entry is written under a temporary name and renamed, so that a reader sees all of it
or nothing; what a killed writer left under a temporary name is swept by the next writer of the same key, and
by ``evict``.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from edgetl import digest
from edgetl.errors import BackendError, EdgetlError, EnvironmentLacks

__all__ = ["Cache", "Entry", "Writing", "out_of_space", "write_whole"]

RECORD = "record.json"
SCHEMA = 1
PARTIAL = ".partial"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)
NEARLY_FULL_BYTES = 1 << 20


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
        return Entry(self._final, json.loads(digest.canonical_json(record)), identity)


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
            if files != body["files"] or identity != body["digest"]:
                return None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # absent, cut short or damaged: the stage runs again
        os.utime(path)  # the clock of evict
        return Entry(path, body["record"], identity)

    def parts(self, key: str) -> Mapping[str, Any] | None:
        """What the key of a stored entry was made of."""
        try:
            found: Mapping[str, Any] = json.loads((self._place(key) / RECORD).read_bytes())["parts"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found

    def newest(self, stage: str) -> Mapping[str, Any] | None:
        """Key parts of the newest entry of a stage, to say what changed since."""
        for entry in reversed(self._by_age()):
            parts = self.parts(entry.name)
            if parts is not None and parts.get("stage") == stage:
                return parts
        return None

    def _by_age(self) -> list[Path]:
        """Folders of the entries, the longest unused first; those that go while we look are left out."""
        ages = []
        for record in self.root.glob(f"*/*/{RECORD}"):
            with contextlib.suppress(FileNotFoundError):
                ages.append((record.parent.stat().st_mtime, record.parent))
        return [entry for _, entry in sorted(ages) if not entry.name.endswith(PARTIAL)]

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
        work = final.with_name(f"{key}{PARTIAL}")
        with out_of_space(self.root):
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            try:
                yield Writing(work, final, key, parts)
            finally:
                shutil.rmtree(work, ignore_errors=True)

    def size_bytes(self) -> int:
        """Bytes below the root."""
        return _size(self.root)

    def evict(self, keep_bytes: int) -> int:
        """Remove the longest unused entries until at most ``keep_bytes`` are left; the bytes removed.

        What killed writers left goes first; what is being written stays.
        """
        before = self.size_bytes()
        for left in self.root.glob(f"*/*{PARTIAL}"):
            with (
                contextlib.suppress(Timeout),
                FileLock(f"{self._place(left.name.split('.')[0])}.lock", timeout=0),
            ):
                shutil.rmtree(left, ignore_errors=True)
        total = self.size_bytes()
        for entry in self._by_age():
            if total <= keep_bytes:
                break
            with self.lock(entry.name):
                size = _size(entry)
                doomed = entry.with_name(f"{entry.name}.{time.time_ns()}{PARTIAL}")
                with contextlib.suppress(FileNotFoundError):  # another process was first
                    entry.rename(doomed)
                shutil.rmtree(doomed, ignore_errors=True)
            total -= size
        return before - total


def _size(folder: Path) -> int:
    """Bytes of all files below a folder, while others may be removing them."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def write_whole(file: Path, content: bytes) -> None:
    """Write a file of the user's beside its place and rename it there: all of it, or what was there before.

    Raises
    ------
    EnvironmentLacks : the disk is full or cannot be written.
    """
    with out_of_space(file.absolute().parent):
        partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
        try:
            partial.write_bytes(content)
            partial.replace(file)
        except OSError as error:
            error.filename = str(file)  # the user's, not ours beside it
            raise
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def out_of_space(place: Path) -> Iterator[None]:
    """Turn a refusal to write into an error that names the place and the mend, also where a library only hints."""
    try:
        yield
    except Exception as error:
        if isinstance(error, EdgetlError) and not isinstance(error, BackendError):
            raise
        number = _system_number(error)
        if number in FULL or (number is None and _is_full(place)):
            raise EnvironmentLacks(
                f"no space left for {place.name}/: the disk is full",
                hint="free some, or point EDGETL_CACHE and --out at another disk",
                place=place.name,
            ) from error
        if number not in REFUSED:
            raise
        named = getattr(error, "filename", None)
        if named is not None and not Path(os.fsdecode(named)).is_relative_to(place):
            raise EnvironmentLacks(
                f"cannot use {os.fsdecode(named)}: {os.strerror(number)}",
                hint="check the path and its permissions",
            ) from error
        raise EnvironmentLacks(
            f"cannot write to {place}: {os.strerror(number)}",
            hint="point EDGETL_CACHE and --out at a folder that can be written",
            place=place.name,
        ) from error


def _system_number(error: Exception) -> int | None:
    """The system's number of a failure; libraries that wrap one often give it in words only."""
    number = getattr(error, "errno", None)
    if isinstance(number, int):
        return number
    words = f"{error} {error.facts.get('vendor', '')}" if isinstance(error, EdgetlError) else str(error)
    told = re.search(r"\[Errno (\d+)\]", words)
    if told is not None:
        return int(told[1])
    return next((number for number in FULL if os.strerror(number).lower() in words.lower()), None)


def _is_full(place: Path) -> bool:
    """Whether so little is free that a failure without a reason is likely this one."""
    with contextlib.suppress(OSError):
        return shutil.disk_usage(place).free < NEARLY_FULL_BYTES
    return False


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
