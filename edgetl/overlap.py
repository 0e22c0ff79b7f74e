"""Pictures to calibrate with that are copies of one another, or of pictures that accuracy is measured on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgetl.data import layout
from edgetl.data.alike import Appearance, Gallery, appearance, nearest
from edgetl.data.decode import load_images
from edgetl.errors import InputError

__all__ = ["Overlap", "overlap"]


@dataclass(frozen=True)
class Overlap:
    """What looks the same, by pairs of files.

    Attributes
    ----------
    alike : both are calibrated with. leaked : one is, the other is held out.
    warnings : what a user should read, one line each.
    """

    alike: list[tuple[str, str]]
    leaked: list[tuple[str, str]]
    warnings: list[str]


def overlap(
    paths: Sequence[Path],
    looks: Sequence[Appearance],
    held_out: Path | None,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Overlap:
    """Hold pictures that were calibrated with against one another, and against those that are held out.

    Parameters
    ----------
    looks : how each of ``paths`` looks.

    Raises
    ------
    InputError : ``held_out`` has no pictures, or one cannot be read.
    """
    own = np.arange(len(looks))
    with Gallery(looks) as gallery:
        alike = [(str(paths[one]), str(paths[two])) for one, two in nearest(gallery, own, own)]
    leaked: list[tuple[str, str]] = []
    if held_out is not None:
        others = layout.pictures_in(held_out)
        if not others:
            raise InputError(
                f"{held_out} has no pictures", hint="--held-out DIR   JPEG, PNG, WebP, BMP or GIF files"
            )
        files = [*paths, *others]
        side = np.arange(len(files)) >= len(looks)
        with Gallery(looks) as seen:
            for look in load_images(held_out, [str(path.absolute()) for path in others], appearance):
                seen.add(look)
                if on_progress is not None:
                    on_progress(len(seen) - len(looks), len(others))
            leaked = [(str(files[one]), str(files[two])) for one, two in nearest(seen, side, own)]
    return Overlap(alike, leaked, _warnings(len(looks), alike, leaked))


def _warnings(count: int, alike: list[tuple[str, str]], leaked: list[tuple[str, str]]) -> list[str]:
    lines = []
    if alike:
        copies = len({name for pair in alike for name in pair})
        lines.append(
            f"{copies} of {count} pictures look like another one of them, the first {' and '.join(alike[0])}"
        )
    if leaked:
        copies = len({mine for mine, _ in leaked})
        lines.append(
            f"leakage: {copies} of {count} pictures are held out, too, the first {' and '.join(leaked[0])}: "
            "the accuracy of INT8 there says too much"
        )
    return lines
