"""Decode every picture once and report what a training run would trip over; nothing is guessed or mended."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgetl import digest
from edgetl.data.decode import WORKERS, read_header, read_image
from edgetl.data.layout import Dataset, Sample
from edgetl.errors import InputError
from edgetl.types import ROLES, Record

__all__ = ["CheckReport", "inspect"]

TINY_PIXELS = 32
NEAR_BITS = 4
"""Perceptual hashes (64 bits) that differ in at most so many are called near-duplicates."""
IMBALANCE = 10.0
SHOWN = 20
"""Names listed of each fault; the count is always whole."""


class CheckReport(Record, frozen=True, kw_only=True):
    """What was found.

    Attributes
    ----------
    usable : the samples that can be decoded.
    unreadable : path and fault of each that cannot. near_duplicates : pairs across roles.
    odd_modes : count by mode (CMYK, 16-bit, alpha, EXIF rotation). tiny : pictures under 32 pixels.
    warnings : what a user should read, one line each.
    """

    usable: Dataset
    unreadable: dict[str, str]
    duplicates: list[list[str]]
    near_duplicates: list[list[str]]
    odd_modes: dict[str, int]
    tiny: list[str]
    counts: dict[str, dict[str, int]]
    warnings: list[str]

    def summary(self) -> str:
        """The one line of the build."""
        total = f"{len(self.usable.samples):,}".replace(",", " ")
        parts = [f"{total} images, {len(self.usable.classes)} classes"]
        if self.unreadable:
            parts.append(f"{len(self.unreadable)} unreadable (listed in check.json)")
        if self.near_duplicates:
            parts.append(f"{len(self.near_duplicates)} near-duplicate pairs across roles")
        return " · ".join([*parts, "no leakage"])


class _Look:
    """What one decoded picture showed."""

    def __init__(self, fault: str, mode: str, short_side: int, code: int) -> None:
        self.fault = fault
        self.mode = mode
        self.short_side = short_side
        self.code = code


def inspect(
    dataset: Dataset, root: Path, *, on_progress: Callable[[int, int], None] | None = None
) -> CheckReport:
    """Decode every picture of a data set and report.

    Raises
    ------
    InputError : a picture is in two roles (leakage), or a class has no readable picture left in a role.
    """
    _refuse_leakage(dataset)
    looks: dict[str, _Look] = {}
    paths = [sample.path for sample in dataset.samples]
    with ThreadPoolExecutor(WORKERS) as pool:
        for path, look in zip(paths, pool.map(lambda path: _look(root / path, path), paths)):
            looks[path] = look
            if on_progress is not None:
                on_progress(len(looks), len(paths))
    kept = tuple(s for s in dataset.samples if not looks[s.path].fault)
    usable = Dataset(classes=dataset.classes, samples=kept, layout=dataset.layout)
    counts = _counts(usable)
    near = _near_duplicates(kept, looks)
    unreadable = {path: look.fault for path, look in looks.items() if look.fault}
    modes = Counter(look.mode for look in looks.values() if look.mode)
    tiny = [s.path for s in kept if looks[s.path].short_side < TINY_PIXELS]
    duplicates = _duplicates(kept)
    return CheckReport(
        usable=usable,
        unreadable=unreadable,
        duplicates=duplicates,
        near_duplicates=near,
        odd_modes=dict(sorted(modes.items())),
        tiny=tiny,
        counts=counts,
        warnings=_warnings(usable, unreadable, duplicates, near, modes, tiny, counts),
    )


def _look(file: Path, name: str) -> _Look:
    try:
        data = file.read_bytes()
        image = read_image(data, name)
    except OSError as error:
        return _Look(error.strerror or "cannot be read", "", 0, 0)
    except InputError as error:
        return _Look(error.problem.removeprefix(f"{name} "), "", 0, 0)
    header = read_header(data)
    mode = header.mode if header is not None and header.mode not in ("RGB", "grey", "palette") else ""
    if header is not None and (header.width, header.height) != image.shape[1::-1]:
        mode = f"{mode} EXIF rotation".strip()
    return _Look("", mode, min(image.shape[:2]), _difference_hash(image))


def _difference_hash(image: npt.NDArray[np.uint8]) -> int:
    """64 bits: whether brightness rises from cell to cell along each row of an 8 x 9 grid of means."""
    grey = image[..., 1]  # green carries most of the brightness
    rows = np.linspace(0, grey.shape[0], 9).astype(int)
    columns = np.linspace(0, grey.shape[1], 10).astype(int)
    if grey.shape[0] < 8 or grey.shape[1] < 9:
        return int(digest.of_bytes(grey.tobytes())[:16], 16)  # too small for a grid: equal or not
    sums = np.add.reduceat(np.add.reduceat(grey, rows[:-1], axis=0, dtype=np.int64), columns[:-1], axis=1)
    means = sums / (np.diff(rows)[:, None] * np.diff(columns)[None, :])
    bits = (means[:, 1:] > means[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _refuse_leakage(dataset: Dataset) -> None:
    by_content: dict[str, list[Sample]] = defaultdict(list)
    for sample in dataset.samples:
        by_content[sample.sha256].append(sample)
    leaks = [group for group in by_content.values() if len({s.role for s in group}) > 1]
    if leaks:
        pairs = [[s.path for s in group] for group in leaks]
        raise InputError(
            f"leakage: {len(leaks)} picture(s) are in more than one role, the first {' and '.join(pairs[0][:2])}",
            hint="remove one copy of each; the accuracy on pictures that were trained on says nothing",
            pairs=pairs[:SHOWN],
        )


def _counts(usable: Dataset) -> dict[str, dict[str, int]]:
    """Pictures by role and class.

    Raises
    ------
    InputError : a class has none to train or to test on.
    """
    counts = {role: dict.fromkeys(usable.classes, 0) for role in ROLES}
    for sample in usable.samples:
        counts[sample.role][usable.classes[sample.label]] += 1
    for role in ("train", "test"):
        for name, count in counts[role].items():
            if not count:
                raise InputError(
                    f"class {name!r} has no readable picture in {role}",
                    hint=f"add some to {role}, or leave the class out",
                )
    return {str(role): by_class for role, by_class in counts.items()}


def _duplicates(samples: tuple[Sample, ...]) -> list[list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for sample in samples:
        groups[sample.sha256].append(sample.path)
    return [paths for paths in groups.values() if len(paths) > 1]


def _near_duplicates(samples: tuple[Sample, ...], looks: dict[str, _Look]) -> list[list[str]]:
    """Pairs across roles whose hashes differ in at most ``NEAR_BITS`` bits, nearest first.

    Compared in blocks: two thousand pictures against all others at a time.
    """
    held = [s for s in samples if s.role != "train"]
    codes = np.array([looks[s.path].code for s in samples], dtype=np.uint64)
    roles = np.array([s.role for s in samples])
    found: list[tuple[int, str, str]] = []
    for start in range(0, len(held), 2000):
        block = held[start : start + 2000]
        mine = np.array([looks[s.path].code for s in block], dtype=np.uint64)
        distance = _bits(mine[:, None] ^ codes[None, :])
        other = roles[None, :] != np.array([s.role for s in block])[:, None]
        for row, column in zip(*np.nonzero((distance <= NEAR_BITS) & other)):
            pair = sorted((block[row].path, samples[column].path))
            found.append((int(distance[row, column]), pair[0], pair[1]))
    return [[a, b] for _, a, b in sorted(set(found))]


def _bits(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """Number of set bits of each word (numpy has it from 2.0 on only)."""
    if hasattr(np, "bitwise_count"):
        counted: npt.NDArray[np.uint8] = np.bitwise_count(words)
        return counted
    summed: npt.NDArray[np.uint8] = np.unpackbits(words[..., None].view(np.uint8), axis=-1).sum(-1, np.uint8)
    return summed


def _warnings(
    usable: Dataset,
    unreadable: dict[str, str],
    duplicates: list[list[str]],
    near: list[list[str]],
    modes: Counter[str],
    tiny: list[str],
    counts: dict[str, dict[str, int]],
) -> list[str]:
    lines = []
    if unreadable:
        first = next(iter(unreadable.items()))
        lines.append(f"{len(unreadable)} files left out, the first {first[0]}: {first[1]}")
    if near:
        lines.append(
            f"{len(near)} near-duplicate pairs across roles, the nearest {near[0][0]} and {near[0][1]}"
        )
    if duplicates:
        lines.append(f"{len(duplicates)} pictures are there more than once in one role")
    if tiny:
        lines.append(f"{len(tiny)} pictures are under {TINY_PIXELS} pixels, the first {tiny[0]}")
    if modes:
        lines.append(
            "modes brought to RGB: " + ", ".join(f"{count} {mode}" for mode, count in sorted(modes.items()))
        )
    train = counts["train"]
    most, least = max(train, key=lambda c: train[c]), min(train, key=lambda c: train[c])
    if train[most] > IMBALANCE * train[least]:
        lines.append(f"imbalance: {train[most]} of {most!r} to train on, {train[least]} of {least!r}")
    if not all(counts["select"].values()):
        lines.append("a class has no picture to select on: the choice of precision is blind to it")
    return lines
