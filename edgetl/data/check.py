"""Decode every picture once and report what a training run would trip over; nothing is guessed or mended."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl.data.decode import WORKERS, read_header, read_image
from edgetl.data.layout import Dataset, Sample
from edgetl.errors import InputError
from edgetl.types import ROLES, Record

__all__ = ["CheckReport", "inspect"]

TINY_PIXELS = 32
NEAR_BITS = 6
"""Perceptual hashes (64 bits) that differ in at most so many propose a pair of near-duplicates."""
NEAR = 0.05
"""Thumbnails that differ by at most so much of their contrast are of one picture: encoded again, resized or
brightened copies come to 0.00 to 0.05, different photographs of one thing to 0.3 and more."""
SIDE = 16
LEAST_CONTRAST = 4.0
BRIGHTER = 32.0
"""Grey levels by which the mean of a copy may be moved."""
ROUNDING = 0.01
BLOCK = 256
PAIRS = 4096
IMBALANCE = 10.0
SHOWN = 20
"""Names listed of each fault; the count is always whole."""


class CheckReport(Record, frozen=True, kw_only=True):
    """What was found.

    Attributes
    ----------
    usable : the samples that can be decoded.
    unreadable : path and fault of each that cannot. near_duplicates : a picture outside train and the
        nearest one of another role that looks the same, the nearest pair first.
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
            parts.append(f"{len(self.unreadable)} unreadable (edgetl check lists them)")
        if self.near_duplicates:
            count = len(self.near_duplicates)
            parts.append(f"{count} near-duplicates across roles (edgetl check lists them)")
        else:
            parts.append("no leakage")
        return " · ".join(parts)

    def named(self) -> list[str]:
        """The files behind the warnings, a line each, the first ``SHOWN`` of each kind."""
        kinds = {
            "left out": [f"{path}: {fault}" for path, fault in self.unreadable.items()],
            "alike": [" and ".join(pair) for pair in self.near_duplicates],
            "repeated": [" = ".join(group) for group in self.duplicates],
            "tiny": self.tiny,
        }
        lines = []
        for kind, entries in kinds.items():
            lines += [f"{kind:<8} {entry}" for entry in entries[:SHOWN]]
            if len(entries) > SHOWN:
                lines.append(f"{'':<8} and {len(entries) - SHOWN} more; edgetl check --json lists all")
        return lines


class _Look:
    """What one decoded picture showed."""

    def __init__(self, fault: str, mode: str = "", image: npt.NDArray[np.uint8] | None = None) -> None:
        self.fault = fault
        self.mode = mode
        if image is None:
            return
        grey = image[..., 1]  # green carries most of the brightness
        self.short_side = min(grey.shape)
        self.code = _difference_hash(grey)
        self.thumbnail = _thumbnail(grey)


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
    usable = msgspec.structs.replace(dataset, samples=kept)
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
        return _Look(error.strerror or "cannot be read")
    except InputError as error:
        return _Look(error.problem.removeprefix(f"{name} "))
    header = read_header(data)
    mode = header.mode if header is not None and header.mode not in ("RGB", "grey", "palette") else ""
    if header is not None and (header.width, header.height) != image.shape[1::-1]:
        mode = f"{mode} EXIF rotation".strip()
    return _Look("", mode, image)


def _difference_hash(grey: npt.NDArray[np.uint8]) -> int:
    """64 bits: whether brightness rises from cell to cell along each row of an 8 x 9 grid of means."""
    means = _means(grey, 8, 9)
    bits = (means[:, 1:] > means[:, :-1] + ROUNDING).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _means(grey: npt.NDArray[np.uint8], rows: int, columns: int) -> npt.NDArray[np.float32]:
    """Mean of each cell of a grid, in grey levels; a pixel on an edge counts by its share in each cell."""
    pixels = grey.astype(np.float32)
    means: npt.NDArray[np.float32] = _shares(grey.shape[0], rows) @ pixels @ _shares(grey.shape[1], columns).T
    return means


def _shares(pixels: int, cells: int) -> npt.NDArray[np.float32]:
    """What each of the pixels along an axis gives to each cell, (cells, pixels); a row sums to 1."""
    edges = np.linspace(0, pixels, cells + 1)
    start = np.arange(pixels)
    overlap = np.minimum(edges[1:, None], start + 1) - np.maximum(edges[:-1, None], start)
    shares: npt.NDArray[np.float32] = (np.maximum(overlap, 0) * (cells / pixels)).astype(np.float32)
    return shares


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
    """For each picture outside train, the nearest one of another role that looks the same; the nearest pair first.

    The hash proposes, the thumbnails decide. Compared in blocks, so that memory does not grow with the square
    of the pictures.
    """
    codes = np.array([looks[s.path].code for s in samples], dtype=np.uint64)
    thumbnails = np.array([looks[s.path].thumbnail for s in samples], dtype=np.float32)
    roles = np.array([ROLES.index(s.role) for s in samples])
    held = np.nonzero(roles != ROLES.index("train"))[0]
    nearest: dict[int, tuple[float, int]] = {}
    for start in range(0, len(held), BLOCK):
        mine = held[start : start + BLOCK]
        alike = _bits(codes[mine, None] ^ codes[None, :]) <= NEAR_BITS
        rows, others = np.nonzero(alike & (roles[mine, None] != roles[None, :]))
        for first in range(0, len(rows), PAIRS):
            one, two = mine[rows[first : first + PAIRS]], others[first : first + PAIRS]
            distance = _distance(thumbnails[one], thumbnails[two])
            for at in np.nonzero(distance <= NEAR)[0]:
                nearest[int(one[at])] = min(
                    nearest.get(int(one[at]), (np.inf, 0)), (float(distance[at]), int(two[at]))
                )
    found = {(d, frozenset((samples[one].path, samples[two].path))) for one, (d, two) in nearest.items()}
    return [pair for _, pair in sorted((d, sorted(pair)) for d, pair in found)]


def _thumbnail(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Brightness of a 16 x 16 grid of means in grey levels, (256,)."""
    return _means(grey, SIDE, SIDE).ravel()


def _distance(one: npt.NDArray[np.float32], two: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Mean difference of pairs of thumbnails (N, 256), in units of contrast; infinite where one is much brighter.

    Brightness and contrast are taken out first: a copy that was brightened a little is still a copy.
    """
    shift = one.mean(axis=1) - two.mean(axis=1)
    level = [side - side.mean(axis=1, keepdims=True) for side in (one, two)]
    scaled = [side / np.maximum(side.std(axis=1, keepdims=True), LEAST_CONTRAST) for side in level]
    found = np.abs(scaled[0] - scaled[1]).mean(axis=1)
    return np.where(np.abs(shift) <= BRIGHTER, found, np.inf).astype(np.float32)


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
    if usable.empty:
        lines.append(f"class folders without a picture are left out: {', '.join(usable.empty)}")
    if near:
        lines.append(
            f"{len(near)} pictures look like one of another role, the nearest {near[0][0]} and {near[0][1]}: "
            "if they are copies, accuracy is flattered"
        )
    if duplicates:
        lines.append(f"{len(duplicates)} pictures are there more than once in one role")
    label = {sample.path: sample.label for sample in usable.samples}
    torn = [paths for paths in duplicates if len({label[path] for path in paths}) > 1]
    if torn:
        lines.append(
            f"{len(torn)} pictures are there under two labels, the first {' and '.join(torn[0][:2])}"
        )
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
