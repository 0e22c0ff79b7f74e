"""Frames of the place that an engine is for: which of them are adapted to, and which only measure what it brought."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import numpy as np

from edgetl import digest
from edgetl.data import files, grouping
from edgetl.data.decode import WORKERS, Header, read_header, read_image
from edgetl.data.layout import Dataset, Sample, pictures_in
from edgetl.data.split import ROLE_NAMES
from edgetl.errors import InputError, did_you_mean
from edgetl.types import Record

__all__ = [
    "FEW",
    "Frame",
    "Frames",
    "fitted",
    "middle",
    "parted",
    "scan",
    "shape_warning",
    "tested",
    "typical_shape",
]

FEW = 32
"""Frames below which the statistics of a layer are mostly noise."""
LOOKED_AT = 64
"""Source pictures whose headers are read, to compare their shape."""
OTHER_SIZE = 2.0
OTHER_ASPECT = 1.3


class Frame(Record, frozen=True, kw_only=True):
    """One frame: POSIX path below the folder, sha256 of its bytes, and the class that its folder names, if any."""

    path: str
    sha256: str
    label: int | None = None


class Frames(Record, frozen=True, kw_only=True):
    """Frames of the target domain. The folder is not part of it: it may move.

    Attributes
    ----------
    adapt : what is adapted to; labels of these are never read.
    measure : labelled frames that nothing is adapted to: they tell the gain.
    warnings : what is odd about the folder.
    """

    adapt: tuple[Frame, ...]
    measure: tuple[Frame, ...]
    warnings: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """sha256 over both parts."""
        return digest.of_json({"adapt": self.adapt, "measure": self.measure})


def scan(place: Path, source: Dataset, *, seed: int) -> Frames:
    """List the frames of a folder and digest their contents; nothing is decoded.

    Parameters
    ----------
    place : pictures at any depth. Those in a folder that has the name of a class are labelled. Labels measure and do
        nothing else: of ``test/<class>/`` (else ``val/<class>/``) all measure, and all others are adapted to;
        without such folders half of the labelled frames measure, drawn blindly; frames that the labelled data's
        pattern of groups finds to be of one group stay on one side.
    source : the labelled data, whose classes are looked for.

    Raises
    ------
    InputError : it is missing, no folder, has fewer than two frames, or holds the source's own pictures.
    """
    if not place.exists():
        raise InputError(f"no such folder of target frames: {place}", hint="--adapt DIR with pictures in it")
    if not place.is_dir():
        raise InputError(
            f"{place} is a file, --adapt takes a folder of frames", hint=f"--adapt {place.parent}"
        )
    files = pictures_in(place)
    if not files:
        raise InputError(
            f"{place} has no pictures to adapt to", hint="--adapt DIR with JPEG, PNG or WebP files"
        )
    frames = _frames(place, files, source.classes)
    found = _parted(frames, seed, source.grouped_by)
    if len(found.adapt) < 2:
        raise InputError(
            f"{place} has {len(found.adapt)} frame(s) to adapt to: at least two are needed, hundreds are better",
            hint="more frames of the place that the engine is for; they need no labels",
        )
    return msgspec.structs.replace(found, warnings=tuple(_warnings(place, frames, found.adapt, source)))


def parted(place: Path, classes: Sequence[str], *, seed: int, grouped_by: str | None = None) -> Frames:
    """The frames of a folder as ``scan`` parts them, whatever they are; nothing is refused."""
    return _parted(_frames(place, pictures_in(place), classes), seed, grouped_by or "")


def _parted(frames: Sequence[Frame], seed: int, grouped_by: str) -> Frames:
    measure = _measuring(frames, seed, grouped_by)
    held = {frame.sha256 for frame in measure}
    return Frames(adapt=tuple(frame for frame in frames if frame.sha256 not in held), measure=measure)


def tested(frames: Sequence[Frame]) -> tuple[Sample, ...]:
    """Labelled frames as the test images of a data set."""
    return tuple(
        Sample(path=frame.path, label=frame.label, role="test", sha256=frame.sha256)
        for frame in frames
        if frame.label is not None
    )


def _frames(place: Path, files: Sequence[Path], classes: Sequence[str]) -> list[Frame]:
    index = {name: number for number, name in enumerate(classes)}
    return [
        Frame(
            path=file.relative_to(place).as_posix(),
            sha256=digest.of_file(file),
            label=index.get(file.parent.name) if file.parent != place else None,
        )
        for file in files
    ]


def _measuring(frames: Sequence[Frame], seed: int, grouped_by: str) -> tuple[Frame, ...]:
    """The labelled frames that only measure; what is drawn keeps the groups of a pattern whole."""
    labelled = [frame for frame in frames if frame.label is not None]
    roles = {frame.path: ROLE_NAMES.get(frame.path.partition("/")[0].lower()) for frame in labelled}
    for role in ("test", "select"):
        told = tuple(frame for frame in labelled if roles[frame.path] == role)
        if told:
            return told
    units = {frame.path: grouping.found_in(frame.path, grouped_by) or frame.sha256 for frame in labelled}
    ordered = sorted(set(units.values()))  # copies of one frame stay on one side
    drawn = np.random.default_rng(seed).permutation(len(ordered))[: len(ordered) // 2]
    held = {ordered[number] for number in drawn}
    return tuple(frame for frame in labelled if units[frame.path] in held)


def _warnings(place: Path, frames: Sequence[Frame], adapt: Sequence[Frame], source: Dataset) -> Iterator[str]:
    known = {sample.sha256 for sample in source.samples}
    copies = [frame.path for frame in frames if frame.sha256 in known]
    if len(copies) == len(frames):
        raise InputError(
            f"every frame of {place} is a picture of the labelled data: there is nothing to adapt to",
            hint="--adapt DIR with frames of the place that the engine is for",
        )
    if copies:
        yield f"{len(copies)} target frames are pictures of the labelled data, the first {copies[0]}"
    strangers = list(_strangers(frames, source.classes))
    if strangers:
        yield f"frames in folders that name no class count as unlabelled: {', '.join(strangers[:5])}"
    if len(adapt) < FEW:
        yield f"{len(adapt)} target frames are few: what is estimated from them is noisy below {FEW}"


def _strangers(frames: Sequence[Frame], classes: Sequence[str]) -> Iterator[str]:
    """Folders that may have been meant as a class: nearly named as one, or beside one. A camera's own is neither."""
    beside = {PurePosixPath(frame.path).parent.parent for frame in frames if frame.label is not None}
    folders = dict.fromkeys(PurePosixPath(frame.path).parent for frame in frames if frame.label is None)
    for folder in folders:
        near = did_you_mean(folder.name, classes).rstrip()
        if folder.name and folder.name.lower() not in ROLE_NAMES and (near or folder.parent in beside):
            yield f"{folder.name!r}{near}"


def fitted(
    root: Path,
    frames: Sequence[Frame],
    transform: Callable[[Any], Any],
    on_progress: Callable[[int, int], None],
) -> Iterator[tuple[Frame, Any, tuple[int, int], str]]:
    """Each frame with ``transform(picture)``, its height and width, and why it cannot be read (else empty)."""

    def work(frame: Frame) -> tuple[Any, tuple[int, int], str]:
        try:
            image = read_image(root / frame.path, frame.path)
        except InputError as error:
            return None, (0, 0), error.problem.removeprefix(f"{frame.path} ")
        return transform(image), image.shape[:2], ""

    with ThreadPoolExecutor(WORKERS) as pool:
        for done, (frame, found) in enumerate(zip(frames, pool.map(work, frames)), start=1):
            on_progress(done, len(frames))
            yield frame, *found


def typical_shape(root: Path, source: Dataset) -> tuple[float, float]:
    """Median height and width of a source, from the headers of some of its pictures; zeros where none is known."""
    rows = np.unique(np.linspace(0, len(source.samples) - 1, LOOKED_AT).astype(int))
    headers = [_header(root / source.samples[row].path) for row in rows]
    shapes = [(header.height, header.width) for header in headers if header is not None]
    return middle(shapes) if shapes else (0.0, 0.0)


def _header(place: Path) -> Header | None:
    try:
        return read_header(files.read(place))
    except OSError:  # gone since the training read it: the others tell as much
        return None


def middle(shapes: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Median height and median width."""
    height, width = np.median(np.array(shapes), axis=0)
    return float(height), float(width)


def shape_warning(source: tuple[float, float], target: tuple[float, float]) -> str:
    """Where frames are much larger, smaller or wider than what the network learned on, in a sentence; else empty.

    Parameters
    ----------
    source, target : typical height and width, in pixels.

    >>> shape_warning((256, 340), (256, 300))
    ''
    >>> shape_warning((32, 32), (720, 1280))
    'target frames are 1280 x 720, the labelled pictures 32 x 32: objects will not have the size that was learned, and what is left and right of the centre square is not seen'
    """  # noqa: E501 (a message)
    if not all((*source, *target)):
        return ""
    sizes = min(target) / min(source)
    aspects = (target[1] / target[0]) / (source[1] / source[0])
    odd = []
    if max(sizes, 1 / sizes) > OTHER_SIZE:
        odd.append("objects will not have the size that was learned")
    if max(aspects, 1 / aspects) > OTHER_ASPECT:
        where = "left and right of" if target[1] > target[0] else "above and below"
        odd.append(f"what is {where} the centre square is not seen")
    if not odd:
        return ""
    return (
        f"target frames are {target[1]:g} x {target[0]:g}, the labelled pictures {source[1]:g} x {source[0]:g}: "
        f"{', and '.join(odd)}"
    )
