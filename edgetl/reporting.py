"""``edgetl report``: bundles as one page, read and never run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path, PurePosixPath

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl import digest
from edgetl.bench.layers import LayerChange, layer_diff
from edgetl.bundles import Answer, opened
from edgetl.cache import write_whole
from edgetl.data import files, layout, shards
from edgetl.data.decode import read_image
from edgetl.errors import InputError
from edgetl.outputs import refuse_inside_bundle, refuse_overwriting
from edgetl.report import html, html_facts
from edgetl.report.html_facts import Facts, Thumbnail
from edgetl.report.summary import bytes_text
from edgetl.sources import data_place
from edgetl.types import Mistake
from edgetl.words import counted

__all__ = ["report"]

SIDE = 176
"""Pixels of the longer side of a picture on the page: sharp on a phone, some kilobytes each."""
QUALITY = 80
MAX_BYTES = 64 << 20


def report(
    places: Sequence[Path], *, out: Path, data: str | None, cache: Path, corruptions: Sequence[Path] = ()
) -> Answer:
    """Write a page over bundles; no engine is run.

    Parameters
    ----------
    places : bundles. out : the HTML file.
    data : where the pictures are that the bundles were tested on; without it the worst are named only.
    corruptions : files that ``edgetl verify --corruptions --out`` wrote for these bundles.

    Raises
    ------
    BundleError : a byte of a bundle differs, or a file of it is not what a build writes.
    InputError : no such data, a file of corruptions that is of another bundle, or ``out`` is in a bundle or read.
    EnvironmentLacks : the disk is full or cannot be written.
    """
    refuse_inside_bundle(out)
    refuse_overwriting(out, [*places, *corruptions])
    root = None if data is None else layout.source_root(_existing(data_place(data, cache)))
    with ExitStack() as stack:
        found = [html_facts.read(stack.enter_context(opened(place)), str(place)) for place in places]
        if root is not None:
            found = [replace(facts, thumbnails=_thumbnails(facts, root)) for facts in found]
        found = _with_corruptions(found, corruptions)
        changes = _changes(found)
    text = html.page(
        found,
        None if changes is None else [msgspec.to_builtins(change) for change in changes],
        data_given=root is not None,
    )
    content = text.encode("utf-8", errors="replace")
    write_whole(out, content)
    lines = [f"  report     {out}   {counted(len(found), 'bundle')}, {bytes_text(len(content))}"]
    lines += [f"  layers     {change.sentence}" for change in (changes or [])[:3]]
    told = {
        "report": str(out),
        "bundles": [facts.place for facts in found],
        "layer_changes": None if changes is None else [msgspec.to_builtins(change) for change in changes],
    }
    return Answer(told, lines)


def _with_corruptions(found: Sequence[Facts], files: Sequence[Path]) -> list[Facts]:
    """Each file goes to the bundle whose manifest it names: figures of another engine are never shown."""
    if not files:
        return list(found)
    from edgetl import robust  # takes OpenCV, which a host that only reads need not have

    measured = {}
    known = {facts.manifest.sha256: facts for facts in found}
    for file in files:
        one = robust.read(file)
        if one.manifest not in known:
            raise InputError(
                f"{file} was measured on another bundle ({one.name}, manifest {one.manifest[:16]})",
                hint="edgetl verify BUNDLE --data DIR --corruptions all --out FILE.json   measures this one",
            )
        measured[one.manifest] = one
    return [replace(facts, robustness=measured.get(facts.manifest.sha256)) for facts in found]


def _existing(place: Path) -> Path:
    if not place.exists() and shards.named(place) is None:
        raise InputError(
            f"no such data: {place}", hint="--data DIR, the pictures that the bundle was tested on"
        )
    return place


def _changes(found: Sequence[Facts]) -> list[LayerChange] | None:
    """Between the shipped engines of two bundles of one network, timed on one machine; else ``None``."""
    if len(found) != 2 or len({(facts.manifest.model, facts.machine()) for facts in found}) > 1:
        return None
    before, after = (facts.layers.get(facts.shipped) for facts in found)
    return layer_diff(before, after) if before and after else None


def _thumbnails(facts: Facts, root: Path) -> tuple[Thumbnail, ...]:
    return tuple(_thumbnail(one, root) for one in facts.results.worst_images)


def _thumbnail(one: Mistake, root: Path) -> Thumbnail:
    """The picture that a bundle names, if it lies below the data and is byte for byte the one that was answered."""
    named = PurePosixPath(one.path)
    file = (root / named).resolve()
    if named.is_absolute() or root.resolve() not in file.parents:
        return Thumbnail(one, None, "its path leaves the data")
    try:
        held = files.read(file) if files.size(file) <= MAX_BYTES else b""
    except OSError:
        return Thumbnail(one, None, "not in this data")
    if digest.of_bytes(held) != one.sha256:
        return Thumbnail(one, None, "not the picture that was answered")
    try:
        return Thumbnail(one, _jpeg(read_image(held, one.path)))
    except InputError as error:
        return Thumbnail(one, None, error.problem)


def _jpeg(image: npt.NDArray[np.uint8]) -> bytes:
    import cv2  # read_image said what is missing where it is not there

    height, width = image.shape[:2]
    scale = min(SIDE / max(height, width), 1.0)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    done, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )
    assert done
    return encoded.tobytes()
