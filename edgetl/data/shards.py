"""WebDataset shards: labelled pictures in plain tar files, read where they lie and never unpacked.

The ``webdataset`` library streams; here a picture is asked for by name, in the order that a seed gives, so that the
roles, the batches and a resumed training are those of a folder with the same pictures. A shard's headers are read
once; what is kept of them is 24 bytes a member.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import tarfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from edgetl import digest
from edgetl.data.split import ROLE_NAMES, Row
from edgetl.errors import InputError, did_you_mean
from edgetl.types import Role

__all__ = [
    "SUFFIX",
    "SUFFIXES",
    "Listing",
    "below",
    "listed",
    "name_of",
    "named",
    "place_of",
    "read_member",
    "size_of_member",
]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff"})
"""Of pictures, here and in folders."""
SUFFIX = ".tar"
JOINT = "::"
LABEL_KEYS = ("label", "class", "cls")
MOST_LABEL_BYTES = 1 << 20
CLASS_FILES = ("classes.txt", "classes.json")
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def _is_one(text: str) -> bool:
    return JOINT in text or bool(re.search(r"\.(tar|tgz|tar\.\w+)$", text))


def named(source: Path) -> list[Path] | None:
    """The shards that a source names, as ``a-{000..099}.tar``, ``{a,b}.tar`` or ``a.tar::b.tar``; ``None``: not shards.

    Raises
    ------
    InputError : one of them is missing, is compressed, or the braces say nothing.
    """
    text = str(source)
    if not _is_one(text) or source.is_dir():
        return None
    parts = [text] if source.exists() else text.split(JOINT)
    files = [Path(name) for part in parts for name in ([part] if source.exists() else _expanded(part))]
    packed = next((file for file in files if file.suffix != SUFFIX), None)
    if packed is not None:
        raise InputError(
            f"{packed.name} is not a plain .tar, whose pictures can be read one by one",
            hint=f"unpack the compression: gunzip {packed.name}, or zstd -d",
        )
    missing = [file for file in files if not file.is_file()]
    if missing:
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"no such shard: {missing[0]}{more} of {len(files)}",
            hint="check the path and the range in braces",
        )
    return files


def below(folder: Path) -> list[Path]:
    """The shards below a folder, sorted."""
    return sorted(file for file in folder.rglob(f"*{SUFFIX}") if file.is_file())


def place_of(files: Sequence[Path]) -> Path:
    """The folder that all shards are below."""
    return Path(os.path.commonpath([file.absolute().parent for file in files]))


def name_of(source: Path) -> str:
    """What a source may be called in a file name.

    >>> name_of(Path("parts/train-{000..099}.tar"))
    'train'
    """
    stem = Path(str(source).split(JOINT)[0]).stem
    return _BRACES.sub("", stem).rstrip("-_.") if _BRACES.search(stem) else stem


def _expanded(text: str) -> list[str]:
    """Braces as the shell expands them.

    >>> _expanded("s-{08..10}.tar")
    ['s-08.tar', 's-09.tar', 's-10.tar']
    """
    found = _BRACES.search(text)
    if found is None:
        return [text]
    span = _RANGE.fullmatch(found[1])
    if span is None and "," not in found[1]:
        raise InputError(f"{{{found[1]}}} in {text} is no range", hint="{000..099}, or {a,b,c}")
    choices = found[1].split(",")
    if span is not None:
        first, last = int(span[1]), int(span[2])
        choices = [f"{number:0{len(span[1])}d}" for number in range(first, last + 1)]
        if not choices:
            raise InputError(f"{{{found[1]}}} in {text} counts down", hint=f"{{{span[2]}..{span[1]}}}")
    head, tail = text[: found.start()], _expanded(text[found.end() :])
    return [head + choice + rest for choice in choices for rest in tail]


@dataclass(frozen=True)
class Listing:
    """What shards hold: a row a picture, whose path is ``shard.tar/KEY.jpg``, and the sha256 of its bytes by path."""

    rows: list[Row] = field(default_factory=list)
    contents: dict[str, str] = field(default_factory=dict)


def listed(files: Sequence[Path], root: Path) -> Listing:
    """Read the labels and digest the pictures of shards below a folder.

    A picture's label is in ``KEY.cls`` (a class's number or name) or ``KEY.json`` (under ``label``) of its shard; names
    of numbers are in ``classes.txt`` or ``classes.json`` of the folder. A shard whose name or folder says ``train``,
    ``val`` or ``test`` gives that role.

    Raises
    ------
    InputError : a shard is cut short or damaged, a key comes twice or has no picture or no label, a class is not known.
    """
    found, names = Listing(), _class_names(root)
    for file in files:
        place = (file.absolute()).relative_to(root).as_posix()
        role = _role_of(place)
        for picture, text, sha256 in _samples(file):
            path = f"{place}/{picture}"
            found.rows.append((path, _class_of(text, names, path), role))
            found.contents[path] = sha256
    if names is None:
        _refuse_mixture(found.rows)
    return found


def _refuse_mixture(rows: Sequence[Row]) -> None:
    number = next((row for row in rows if row[1].isdecimal()), None)
    name = next((row for row in rows if not row[1].isdecimal()), None)
    if number is not None and name is not None:
        raise InputError(
            f"{number[0]} is of class {number[1]} and {name[0]} of {name[1]!r}: numbers and names are mixed",
            hint=f"a {CLASS_FILES[0]} beside the shards, a name a line, says which is which",
        )


def _role_of(place: str) -> Role | None:
    told = {ROLE_NAMES[word] for word in re.split(r"[-_./]", place.lower()) if word in ROLE_NAMES}
    return told.pop() if len(told) == 1 else None


def _class_of(text: str, names: Sequence[str] | None, path: str) -> str:
    if names is None:
        return text
    if text.isdecimal() and int(text) < len(names):
        return names[int(text)]
    if text not in names:
        raise InputError(
            f"{path} is of class {text}, which is not among the {len(names)} of the class names."
            f"{did_you_mean(text, names)}",
            hint=f"{CLASS_FILES[0]} has a name a line; the first is class 0",
        )
    return text


def _class_names(root: Path) -> list[str] | None:
    file = next((root / name for name in CLASS_FILES if (root / name).is_file()), None)
    if file is None:
        return None
    try:
        text = file.read_text(encoding="utf-8-sig")
        found = json.loads(text) if file.suffix == ".json" else [line.strip() for line in text.splitlines()]
    except ValueError as error:
        raise InputError(f"{file.name} cannot be read: {error}", hint='["ants", "bees"]') from error
    if isinstance(found, dict) and all(str(key).isdecimal() for key in found):
        found = [found[key] for key in sorted(found, key=int)]
    names = [name for name in found if name] if isinstance(found, list) else []
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise InputError(
            f"{file.name} is not a list of different class names", hint="a name a line; the first is class 0"
        )
    return names


def _samples(file: Path) -> Iterator[tuple[str, str, str]]:
    """Name, label and sha256 of each picture of a shard."""
    pictures: dict[str, tuple[str, str]] = {}
    labels: dict[str, str] = {}
    with file.open("rb") as stream:
        for member in _members(file):
            key, suffix = _key(member.name)
            held: dict[str, Any] = pictures if suffix in SUFFIXES else labels
            if suffix not in SUFFIXES and suffix not in (".cls", ".json"):
                continue
            if key in held and not (held is labels and suffix == ".json"):
                raise InputError(
                    f"{file.name} has {key} more than once", hint="a key is of one picture and one label"
                )
            stream.seek(member.offset)
            if held is pictures:
                pictures[key] = (member.name, digest.of_bytes(stream.read(member.size)))
            elif suffix == ".cls" or key not in labels:
                text = stream.read(min(member.size, MOST_LABEL_BYTES))
                labels[key] = _label(text, suffix, f"{file.name}/{member.name}")
    _refuse_halves(file, pictures.keys() - labels.keys(), labels.keys() - pictures.keys())
    for key, (name, sha256) in pictures.items():
        yield name, labels[key], sha256


def _refuse_halves(file: Path, bare: set[str], blind: set[str]) -> None:
    for lone, what, other in (
        (bare, "label", "KEY.cls or KEY.json"),
        (blind, "picture", "KEY.jpg or KEY.png"),
    ):
        if lone:
            first = min(lone)
            more = f", and {len(lone) - 1} more" if len(lone) > 1 else ""
            raise InputError(
                f"{file.name}: {first} has no {what}{more}",
                hint=f"{other.replace('KEY', first)} in the same shard",
            )


def _key(name: str) -> tuple[str, str]:
    """What the parts of a sample have in common, and the last suffix: ``a/0001.seg.png`` is ``a/0001`` and ``.png``."""
    path = PurePosixPath(name)
    return (path.parent / path.name.partition(".")[0]).as_posix(), path.suffix.lower()


def _label(data: bytes, suffix: str, where: str) -> str:
    try:
        text = data.decode("utf-8-sig").strip()
        found = json.loads(text) if suffix == ".json" else text
    except ValueError as error:
        raise InputError(f"{where} is not text in UTF-8 or no JSON", hint='{"label": "ants"}') from error
    if isinstance(found, dict):
        found = next((found[key] for key in LABEL_KEYS if key in found), None)
    if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
        raise InputError(f"{where} has no label", hint='a number or a name; in JSON {"label": "ants"}')
    return str(found)


@dataclass(frozen=True)
class _Member:
    name: str
    offset: int
    size: int


def _members(file: Path) -> Iterator[_Member]:
    """The files of a shard, in order.

    Raises
    ------
    InputError : it is no tar, is cut short or damaged, or a name leaves the shard.
    """
    whole = file.stat().st_size
    try:
        with tarfile.open(file, "r:") as tar:
            while (found := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined] # else it keeps them all
                if found.offset_data + found.size > whole:
                    raise _cut_short(file)
                if found.isreg():
                    yield _Member(_plain(file, found.name), found.offset_data, found.size)
            _check_end(file, tar.offset)
    except tarfile.TarError as error:
        if "unexpected end" in str(error) or "truncated" in str(error):
            raise _cut_short(file) from error
        raise InputError(f"{file.name} is no tar file: {error}", hint="copy it again") from error


def _cut_short(file: Path) -> InputError:
    return InputError(f"{file.name} is truncated: its end is missing", hint="copy it again")


def _plain(file: Path, name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{file.name} has a member {name!r}, which leaves it", hint="names inside the shard")
    return path.as_posix()


def _check_end(file: Path, end: int) -> None:
    """Hold what follows the last member to be zeros: tarfile takes a damaged header for the end."""
    with file.open("rb") as stream:
        stream.seek(end)
        rest = stream.read(tarfile.BLOCKSIZE)
        if len(rest) < tarfile.BLOCKSIZE:
            raise _cut_short(file)
        while rest:
            if rest.strip(b"\0"):
                raise InputError(
                    f"{file.name} goes on after its end, at byte {stream.tell() - len(rest)}",
                    hint="copy it again; archives that were joined by cat are given as a.tar::b.tar",
                )
            rest = stream.read(1 << 20)


class _Index:
    """Where the members of a shard are, found by their names' hashes."""

    def __init__(self, file: Path) -> None:
        rows = [(_hash(member.name), member.offset, member.size) for member in _members(file)]
        held = np.array(rows, dtype=[("hash", np.uint64), ("offset", np.int64), ("size", np.int64)])
        self._held = np.sort(held, order="hash")

    def of(self, name: str) -> tuple[int, int] | None:
        """Offset and size in bytes; ``None`` where there is no such member."""
        wanted = np.uint64(_hash(name))
        at = int(np.searchsorted(self._held["hash"], wanted))
        if at == len(self._held) or self._held["hash"][at] != wanted:
            return None
        return int(self._held["offset"][at]), int(self._held["size"][at])


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


_INDEXES: dict[tuple[Path, int, int], _Index] = {}
_INDEXING = threading.Lock()


def read_member(file: Path, name: str) -> bytes:
    """The bytes of a member of a shard; from any thread.

    Raises
    ------
    FileNotFoundError : it has no such member. OSError : the shard cannot be read. InputError : it is no whole tar.
    """
    with file.open("rb") as stream:
        offset, size = _find(file, name, os.fstat(stream.fileno()))
        stream.seek(offset)
        return stream.read(size)


def size_of_member(file: Path, name: str) -> int:
    """The size of a member in bytes; raises as ``read_member`` does."""
    return _find(file, name, file.stat())[1]


def _find(file: Path, name: str, state: os.stat_result) -> tuple[int, int]:
    key = (file, state.st_size, state.st_mtime_ns)
    with _INDEXING:
        if key not in _INDEXES:
            _INDEXES[key] = _Index(file)
    place = _INDEXES[key].of(name)
    if place is None:
        raise FileNotFoundError(errno.ENOENT, "no such member of the shard", f"{file}/{name}")
    return place
