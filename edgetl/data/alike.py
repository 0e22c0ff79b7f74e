"""Which pictures look the same: encoded again, resized or brightened a little."""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Appearance", "Gallery", "appearance", "nearest"]

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
COLUMNS = 1 << 12
PAIRS = 4096
READ_ON = 8
"""Thumbnails that are not asked for, and read all the same to go on in one piece."""


@dataclass(frozen=True)
class Appearance:
    """What a picture is compared by.

    Attributes
    ----------
    code : 64 bits, whether brightness rises from cell to cell. thumbnail : means of a 16 x 16 grid in grey levels.
    """

    code: int
    thumbnail: npt.NDArray[np.float32]


def appearance(image: npt.NDArray[np.uint8]) -> Appearance:
    """How a picture (H, W, 3) looks."""
    grey = image[..., 1]  # green carries most of the brightness
    return Appearance(_difference_hash(grey), _means(grey, SIDE, SIDE).ravel())


class Gallery:
    """How many pictures look: 8 bytes each in memory, their thumbnails in a file that ends with the context."""

    def __init__(self, looks: Iterable[Appearance] = ()) -> None:
        self._codes = array("Q")
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __exit__)
        for look in looks:
            self.add(look)

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._codes)

    def add(self, look: Appearance) -> None:
        """Append one."""
        self._codes.append(look.code)
        self._file.seek(0, os.SEEK_END)
        self._file.write(look.thumbnail.tobytes())

    def codes(self) -> npt.NDArray[np.uint64]:
        """All codes, in order."""
        return np.array(self._codes, dtype=np.uint64)

    def thumbnails(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        """Those of some, (N, 256); rows ascend, and neighbours are read at once."""
        runs = np.split(rows, np.flatnonzero(np.diff(rows) > READ_ON) + 1)
        return np.concatenate([self._read(run[0], run[-1] + 1)[run - run[0]] for run in runs])

    def _read(self, start: int, end: int) -> npt.NDArray[np.float32]:
        each = SIDE * SIDE
        self._file.seek(int(start) * each * np.dtype(np.float32).itemsize)
        read = self._file.read(int(end - start) * each * np.dtype(np.float32).itemsize)
        return np.frombuffer(read, np.float32).reshape(-1, each)


def nearest(looks: Gallery, groups: npt.NDArray[Any], of: npt.NDArray[np.intp]) -> list[tuple[int, int]]:
    """For each picture of some, the nearest one of another group that looks the same; the nearest pair first.

    The hash proposes, the thumbnails decide. Compared in blocks, so that memory does not grow with the square
    of the pictures.

    Parameters
    ----------
    groups : (N,) pictures of one group are not held against each other. of : indices of those to look for.
    """
    codes = looks.codes()
    found: dict[int, tuple[float, int]] = {}
    for one, two in _proposed(codes, groups, of):
        distance = _distance(looks, one, two)
        for at in np.nonzero(distance <= NEAR)[0]:
            found[int(one[at])] = min(
                found.get(int(one[at]), (np.inf, 0)), (float(distance[at]), int(two[at]))
            )
    pairs = {(distance, min(one, two), max(one, two)) for one, (distance, two) in found.items()}
    return [(one, two) for _, one, two in sorted(pairs)]


def _proposed(
    codes: npt.NDArray[np.uint64], groups: npt.NDArray[Any], of: npt.NDArray[np.intp]
) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Pairs of pictures of different groups whose hashes are near, some at a time."""
    for start in range(0, len(of), BLOCK):
        mine = of[start : start + BLOCK]
        for left in range(0, len(codes), COLUMNS):
            theirs = slice(left, left + COLUMNS)
            same = _bits(codes[mine, None] ^ codes[None, theirs]) <= NEAR_BITS
            rows, others = np.nonzero(same & (groups[mine, None] != groups[None, theirs]))
            for first in range(0, len(rows), PAIRS):
                yield mine[rows[first : first + PAIRS]], left + others[first : first + PAIRS]


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


def _distance(
    looks: Gallery, one: npt.NDArray[np.intp], two: npt.NDArray[np.intp]
) -> npt.NDArray[np.float32]:
    """Mean difference of the thumbnails of pairs (N,), in units of contrast; infinite where one is much brighter.

    Brightness and contrast are taken out first: a copy that was brightened a little is still a copy. Where a camera
    stands still every hash is near every other, so a picture is read and scaled once for all its pairs.
    """
    scaled, level = zip(*(_even(looks, side) for side in (one, two)))
    found = np.abs(scaled[0] - scaled[1]).mean(axis=1)
    return np.where(np.abs(level[0] - level[1]) <= BRIGHTER, found, np.inf).astype(np.float32)


def _even(
    looks: Gallery, rows: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Thumbnails of mean 0 and contrast 1, (N, 256), and what their means were, (N,)."""
    each, place = np.unique(rows, return_inverse=True)
    raw = looks.thumbnails(each)
    level = raw.mean(axis=1, keepdims=True)
    even = (raw - level) / np.maximum(raw.std(axis=1, keepdims=True), LEAST_CONTRAST)
    return even[place], level[place, 0]


def _bits(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """Number of set bits of each word (numpy has it from 2.0 on only)."""
    if hasattr(np, "bitwise_count"):
        counted: npt.NDArray[np.uint8] = np.bitwise_count(words)
        return counted
    summed: npt.NDArray[np.uint8] = np.unpackbits(words[..., None].view(np.uint8), axis=-1).sum(-1, np.uint8)
    return summed
