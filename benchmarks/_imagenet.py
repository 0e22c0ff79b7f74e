"""The ImageNet pictures of the shared data, how they are split, and how two contenders compare on them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from _results import Results

from edgetl import stats
from edgetl.data import decode
from edgetl.runtime import preprocess
from edgetl.types import Preprocess

__all__ = ["difference", "pictures", "split"]

Array = npt.NDArray[Any]

CALIBRATE = 300


def pictures(folder: Path, rule: Preprocess) -> tuple[Array, Array]:
    """Every picture as an engine takes it, uint8 (N, H, W, 3), and its class (N,)."""
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [f"{row['wnid']}.jpg" for row in rows]
    frames = decode.load_images(folder, names, lambda frame: preprocess.apply(frame, rule))
    return np.stack(list(frames)), np.array([int(row["index"]) for row in rows])


def split(count: int, *, quick: bool) -> tuple[Array, Array]:
    """Which pictures calibrate, and which judge; a smoke run takes few of each."""
    order = np.random.default_rng(0).permutation(count)
    calibrate, judge = order[:CALIBRATE], order[CALIBRATE:]
    return (calibrate[:20], judge[:40]) if quick else (calibrate, judge)


def difference(
    results: Results, what: str, own: Array, peer: Array, *, at_least: float | None = None
) -> None:
    """A row: points by which ours is right more often than a peer, image by image, with Tango's interval.

    Parameters
    ----------
    own, peer : whether each is right, bool (N,). at_least : the target in points, where there is one.
    """
    losses, gains = int((peer & ~own).sum()), int((~peer & own).sum())
    low, high = stats.tango(losses, gains, len(own))
    points = 100.0 * (gains - losses) / len(own)
    results.row(
        what,
        points,
        "pt",
        ci95=(-100.0 * high, -100.0 * low),
        n=len(own),
        target=None if at_least is None else f">= {at_least:g}",
        met=None if at_least is None else points >= at_least,
        note=f"{gains} gained, {losses} lost",
    )
