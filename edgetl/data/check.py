"""Decode every picture once and report what a training run would trip over; nothing is guessed or mended."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl.data import alike, files
from edgetl.data.alike import Gallery
from edgetl.data.decode import ahead, read_header, read_image
from edgetl.data.layout import Dataset, Sample
from edgetl.errors import InputError
from edgetl.tasks import flat_names
from edgetl.types import ROLES, Record, Role
from edgetl.words import counted

__all__ = ["CheckReport", "inspect"]

TINY_PIXELS = 32
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
        total = len(self.usable.samples)
        tasks = self.usable.tasks
        told = ", ".join(task.said() for task in tasks) if tasks else f"{len(self.usable.classes)} classes"
        parts = [f"{total} images, {told}"]
        if self.usable.grouped_by:
            groups = len({s.group for s in self.usable.samples})
            parts.append(f"{counted(groups, 'group')} kept whole")
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
        self.short_side = 0 if image is None else min(image.shape[:2])
        self.appearance = None if image is None else alike.appearance(image)


def inspect(
    dataset: Dataset,
    root: Path,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    needs: Sequence[Role] = ("train", "test"),
) -> CheckReport:
    """Decode every picture of a data set and report.

    Parameters
    ----------
    needs : roles that must hold every class.

    Raises
    ------
    InputError : a picture or a group is in two roles (leakage), or a class has no readable picture left in a role.
    """
    _refuse_leakage(dataset)
    _refuse_parted_groups(dataset)
    unreadable: dict[str, str] = {}
    modes: Counter[str] = Counter()
    tiny: list[str] = []
    with Gallery() as gallery:
        looks = ahead(lambda sample: _look(root / sample.path, sample.path), dataset.samples)
        for done, (sample, look) in enumerate(zip(dataset.samples, looks), 1):
            if look.mode:
                modes[look.mode] += 1
            if look.appearance is None:
                unreadable[sample.path] = look.fault
            else:
                gallery.add(look.appearance)
                tiny += [sample.path] if look.short_side < TINY_PIXELS else []
            if on_progress is not None:
                on_progress(done, len(dataset.samples))
        kept = tuple(s for s in dataset.samples if s.path not in unreadable)
        usable = msgspec.structs.replace(dataset, samples=kept)
        counts = _counts(usable, needs)
        near = _near_duplicates(kept, gallery)
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
        data = files.read(file)
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


def _refuse_parted_groups(dataset: Dataset) -> None:
    """Pictures of one patient in train and in test are the classic leak: the test measures what was learnt by heart."""
    by_group: dict[str, list[Sample]] = defaultdict(list)
    for sample in dataset.samples:
        if sample.group:
            by_group[sample.group].append(sample)
    parted = {name: of for name, of in by_group.items() if len({s.role for s in of}) > 1}
    if not parted:
        return
    name, members = next(iter(parted.items()))
    one = members[0]
    other = next(s for s in members if s.role != one.role)
    raise InputError(
        f"leakage: {counted(len(parted), 'group')} by {dataset.grouped_by} span roles, the first {name!r}: "
        f"{one.path} is in {one.role}, {other.path} in {other.role}",
        hint="give the pictures of a group one role, or leave roles out: they are drawn so that groups stay whole",
        groups={name: {s.path: s.role for s in of} for name, of in list(parted.items())[:SHOWN]},
    )


def _counts(usable: Dataset, needs: Sequence[Role]) -> dict[str, dict[str, int]]:
    """Pictures by role and class.

    Raises
    ------
    InputError : a class has none in a role that it is needed in.
    """
    counts = {role: dict.fromkeys(usable.class_names(), 0) for role in ROLES}
    for sample in usable.samples:
        for name in usable.named(sample):
            counts[sample.role][name] += 1
    for role in needs:
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


def _near_duplicates(samples: Sequence[Sample], looks: Gallery) -> list[list[str]]:
    """For each picture outside train, the nearest one of another role that looks the same; the nearest pair first."""
    roles = np.array([ROLES.index(s.role) for s in samples])
    pairs = alike.nearest(looks, roles, np.nonzero(roles != ROLES.index("train"))[0])
    return [sorted(samples[index].path for index in pair) for pair in pairs]


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
    if usable.shared_ids:
        names = ", ".join(usable.shared_ids)
        lines.append(
            f"the table has {names} with values that several pictures share: --group-by {usable.shared_ids[0]} "
            "keeps those in one role; apart, accuracy is flattered"
        )
    if near:
        lines.append(
            f"{len(near)} pictures look like one of another role, the nearest {near[0][0]} and {near[0][1]}: "
            "if they are copies, accuracy is flattered"
        )
    if duplicates:
        lines.append(f"{len(duplicates)} pictures are there more than once in one role")
    label = {sample.path: sample.answers or sample.label for sample in usable.samples}
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
    lines += [task.assumed for task in usable.tasks or () if task.assumed]
    lines += [line for names in _rivals(usable) for line in _imbalance(counts["train"], names)]
    if not all(counts["select"].values()):
        lines.append("a class has no picture to select on: the choice of precision is blind to it")
    return lines


def _rivals(usable: Dataset) -> list[Sequence[str]]:
    """Classes that are told from one another: all, or those of each task."""
    if not usable.tasks:
        return [usable.classes]
    return [flat_names([task]) for task in usable.tasks if task.kind == "classes"]


def _imbalance(train: dict[str, int], names: Sequence[str]) -> list[str]:
    most, least = max(names, key=lambda c: train[c]), min(names, key=lambda c: train[c])
    if train[most] <= IMBALANCE * train[least]:
        return []
    return [f"imbalance: {train[most]} of {most!r} to train on, {train[least]} of {least!r}"]
