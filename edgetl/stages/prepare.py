"""prepare: decode, crop and resize every picture once, by the rule that the device uses."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl.data.decode import load_images
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.runtime import preprocess as rule
from edgetl.stages.check import dataset_of
from edgetl.types import ROLES, Preprocess, Role

__all__ = ["images", "labels", "stage"]

Array = npt.NDArray[Any]


def stage(root: Path, *, preprocess_from: str = "backbone") -> Stage:
    """Arrays of the network's input size for each role; ``preprocess_from`` names the stage that knows it."""

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        preprocess = msgspec.convert(inputs[preprocess_from].record["preprocess"], Preprocess)
        samples = dataset_of(inputs["check"]).samples
        total, done = len(samples), 0
        shape = (preprocess.height, preprocess.width, 3)
        for role in ROLES:
            chosen = [s for s in samples if s.role == role]
            np.save(out / f"{role}.labels.npy", np.array([s.label for s in chosen], dtype=np.int64))
            array = np.lib.format.open_memmap(
                out / f"{role}.npy", mode="w+", dtype=np.uint8, shape=(len(chosen), *shape)
            )
            _allocate(out / f"{role}.npy")
            resized = load_images(root, [s.path for s in chosen], lambda image: rule.apply(image, preprocess))
            for index, image in enumerate(resized):
                array[index] = image
                done += 1
                ctx.advance(done, total)
            array.flush()
        return {
            "summary": f"{total} images at {preprocess.width} x {preprocess.height}",
            "preprocess": inputs[preprocess_from].record["preprocess"],
        }

    return Stage("prepare", 1, ("check", preprocess_from), {}, rule.tools(), run)


def _allocate(file: Path) -> None:
    """Claim the space of a mapped file now: a disk that fills up under a mapping ends the process by a signal."""
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, os.fstat(opened.fileno()).st_size)


def images(prepare: Artifact, role: Role) -> Array:
    """The pictures of a role, uint8 (N, height, width, 3) RGB, mapped from disk."""
    array: Array = np.load(prepare.path / f"{role}.npy", mmap_mode="r")
    return array


def labels(prepare: Artifact, role: Role) -> Array:
    """The class indices of a role, int64 (N,)."""
    array: Array = np.load(prepare.path / f"{role}.labels.npy")
    return array
