"""prepare: decode, crop and resize every picture once, by the rule that the device uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl import tasks
from edgetl.data.decode import load_images
from edgetl.data.layout import Sample
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.runtime import preprocess as rule
from edgetl.stages.check import dataset_of
from edgetl.tasks import Tasks
from edgetl.types import ROLES, Preprocess, Role

__all__ = ["answers", "answers_of", "images", "labels", "stage", "tasks_of"]

Array = npt.NDArray[Any]


def stage(root: Path, *, preprocess_from: str = "backbone") -> Stage:
    """Arrays of the network's input size for each role; ``preprocess_from`` names the stage that knows it."""

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        preprocess = msgspec.convert(inputs[preprocess_from].record["preprocess"], Preprocess)
        dataset = dataset_of(inputs["check"])
        samples, asked = dataset.samples, dataset.tasks or ()
        total, done = len(samples), 0
        shape = (preprocess.height, preprocess.width, 3)
        for role in ROLES:
            chosen = [s for s in samples if s.role == role]
            np.save(out / f"{role}.labels.npy", np.array([s.label for s in chosen], dtype=np.int64))
            if asked:
                np.save(out / f"{role}.answers.npy", answers_of(chosen, len(asked)))
            resized = load_images(root, [s.path for s in chosen], lambda image: rule.apply(image, preprocess))
            with (out / f"{role}.npy").open(
                "wb"
            ) as file:  # written, not mapped: what is written leaves memory
                header = {"descr": "|u1", "fortran_order": False, "shape": (len(chosen), *shape)}
                np.lib.format.write_array_header_1_0(file, header)
                for image in resized:
                    file.write(np.ascontiguousarray(image).data)
                    done += 1
                    ctx.advance(done, total)
        return {
            "summary": f"{total} images at {preprocess.width} x {preprocess.height}",
            "preprocess": inputs[preprocess_from].record["preprocess"],
            **({"tasks": msgspec.to_builtins(asked)} if asked else {}),
        }

    return Stage("prepare", 1, ("check", preprocess_from), {}, rule.tools(), run)


def answers_of(samples: Sequence[Sample], count: int) -> npt.NDArray[np.float64]:
    """What samples answer to so many tasks: class indices and values, float64 (N, tasks)."""
    return np.array([sample.answers for sample in samples], np.float64).reshape(-1, count)


def tasks_of(prepare: Artifact) -> Tasks:
    """What the network is asked; nothing where it is one class."""
    return tasks.of_record(prepare.record.get("tasks"))


def answers(prepare: Artifact, role: Role) -> npt.NDArray[np.float64]:
    """The answers of a role to the tasks, float64 (N, tasks)."""
    array: npt.NDArray[np.float64] = np.load(prepare.path / f"{role}.answers.npy")
    return array


def images(prepare: Artifact, role: Role) -> Array:
    """The pictures of a role, uint8 (N, height, width, 3) RGB, mapped from disk."""
    array: Array = np.load(prepare.path / f"{role}.npy", mmap_mode="r")
    return array


def labels(prepare: Artifact, role: Role) -> Array:
    """The class indices of a role, int64 (N,)."""
    array: Array = np.load(prepare.path / f"{role}.labels.npy")
    return array
