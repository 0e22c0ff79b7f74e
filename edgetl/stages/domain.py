"""domain: frames of the place that the engine is for, cropped and resized as the device does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgetl import digest
from edgetl.data import frames as target
from edgetl.data.frames import Frame, Frames
from edgetl.data.layout import Dataset
from edgetl.errors import InputError
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.runtime import preprocess as rule
from edgetl.types import Preprocess
from edgetl.words import counted

__all__ = ["NAME", "adapted_to", "measured", "stage"]

NAME = "domain"
LISTED, MEASURED = "frames.json", "measured.json"
SHOWN = 20


def stage(frames: Frames, root: Path, source: Dataset, source_root: Path) -> Stage:
    """Arrays of target frames, laid out as ``prepare`` lays out its own.

    ``train`` is what is adapted to and calibrated with, its labels all zero: nobody may read them. ``test`` are the
    labelled frames that measure, of which there may be none.

    Parameters
    ----------
    root : of the frames. source, source_root : the labelled pictures, whose size is compared.
    """

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        told = inputs["backbone"].record["preprocess"]
        preprocess = msgspec.convert(told, Preprocess)
        taken = _Taken(root, preprocess)
        total = len(frames.adapt) + len(frames.measure)
        adapt = taken.write(frames.adapt, out / "train.npy", ctx.part(0, total))
        _refuse_unreadable(root, adapt, taken.faults)
        measure = taken.write(frames.measure, out / "test.npy", ctx.part(len(frames.adapt), total))
        np.save(out / "train.labels.npy", np.zeros(len(adapt), np.int64))
        np.save(out / "test.labels.npy", np.array([frame.label for frame in measure], np.int64))
        (out / LISTED).write_bytes(digest.canonical_json([frame.path for frame in adapt]))
        (out / MEASURED).write_bytes(digest.canonical_json(measure))
        odd = target.shape_warning(target.typical_shape(source_root, source), target.middle(taken.shapes))
        return {
            "summary": _told(len(adapt), len(measure), len(taken.faults)),
            "frames": len(adapt),
            "measured": len(measure),
            "unreadable": taken.faults,
            "digest": frames.digest,
            "warnings": [*frames.warnings, *taken.warnings(), *([odd] if odd else [])],
            "preprocess": told,
        }

    options = {"frames": frames.digest, "warnings": frames.warnings, "source": source.digest}
    return Stage(NAME, 1, ("backbone",), options, rule.tools(), run)


def adapted_to(domain: Artifact) -> list[str]:
    """Paths of the frames that are adapted to, below the folder."""
    paths: list[str] = msgspec.json.decode((domain.path / LISTED).read_bytes())
    return paths


def measured(domain: Artifact) -> list[Frame]:
    """The labelled frames that nothing was adapted to, in the order of the ``test`` arrays."""
    found: list[Frame] = msgspec.json.decode((domain.path / MEASURED).read_bytes(), type=list[Frame])
    return found


class _Taken:
    """What could be read of a folder's frames."""

    def __init__(self, root: Path, preprocess: Preprocess) -> None:
        self.faults: dict[str, str] = {}
        self.shapes: list[tuple[int, int]] = []
        self._root = root
        self._preprocess = preprocess

    def write(
        self, wanted: Sequence[Frame], file: Path, on_progress: Callable[[int, int], None]
    ) -> list[Frame]:
        """The frames that can be read, as one uint8 array (N, H, W, 3) in ``file``; which they are."""
        size = (self._preprocess.height, self._preprocess.width, 3)
        kept: list[Frame] = []
        if not wanted:
            np.save(file, np.zeros((0, *size), np.uint8))
            return kept
        whole = file.with_suffix(".whole.npy")
        array = np.lib.format.open_memmap(whole, mode="w+", dtype=np.uint8, shape=(len(wanted), *size))
        for frame, image, shape, fault in target.fitted(
            self._root, wanted, lambda picture: rule.apply(picture, self._preprocess), on_progress
        ):
            if fault:
                self.faults[frame.path] = fault
                continue
            array[len(kept)] = image
            kept.append(frame)
            self.shapes.append(shape)
        array.flush()
        if len(kept) == len(wanted):
            whole.rename(file)
        else:
            np.save(file, array[: len(kept)])
            whole.unlink()
        return kept

    def warnings(self) -> list[str]:
        """What was left out."""
        if not self.faults:
            return []
        path, fault = next(iter(self.faults.items()))
        return [f"{counted(len(self.faults), 'target frame')} left out, the first {path}: {fault}"]


def _refuse_unreadable(root: Path, kept: Sequence[Frame], faults: Mapping[str, str]) -> None:
    if len(kept) >= 2:
        return
    path, fault = next(iter(faults.items()))
    readable = "only one" if kept else "none"
    raise InputError(
        f"{readable} of the target frames in {root} can be read; the first, {path}, {fault}",
        hint="--adapt DIR with pictures that open",
        unreadable=dict(list(faults.items())[:SHOWN]),
    )


def _told(adapt: int, measure: int, faults: int) -> str:
    labels = f"{measure} more, with labels, tell the gain" if measure else "none with labels to tell the gain"
    left_out = f" · {faults} unreadable" if faults else ""
    return f"{counted(adapt, 'target frame')} to adapt to · {labels}{left_out}"
