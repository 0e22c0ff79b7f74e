"""calibrate: one pass of train images over the float graph; statistics stay, images do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from edgetl.calibration import ranges, sampling
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.quantize import observe, statistics
from edgetl.quantize.penultimate import penultimate
from edgetl.quantize.review import review
from edgetl.stages import prepare
from edgetl.words import counted

__all__ = ["METHODS", "SELECTIONS", "stage"]

METHODS = ("default", *ranges.METHODS)
SELECTIONS = sampling.SELECTIONS


def stage(
    samples: int, method: str, seed: int, *, select: str = "stratified", with_features: bool = False
) -> Stage:
    """Observe up to ``samples`` images of the train role.

    Parameters
    ----------
    select : ``stratified`` draws evenly over the classes; ``coverage`` takes those that leave no other far off in the
        space of features.
    with_features : there is a ``features`` stage to take them from; else the model's own are computed.
    """
    choosing = select == "coverage"
    ready = choosing and with_features

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        pictures = prepare.images(inputs["prepare"], "train")
        model = inputs["export"].path / "model.onnx"
        if ready:
            drawn = sampling.coverage(np.load(inputs["features"].path / "train.npy", mmap_mode="r"), samples)
        elif choosing:
            drawn = sampling.coverage(penultimate(model, _singly(pictures, range(len(pictures)))), samples)
        else:
            drawn = sampling.stratified(prepare.labels(inputs["prepare"], "train"), samples, seed)
        stats = observe.observe(
            model, _singly(pictures, drawn), total=len(drawn), on_progress=ctx.advance, method=method
        )
        identity = statistics.identity(
            model, inputs["prepare"].record["preprocess"], inputs["prepare"].digest, drawn.tolist(), method
        )
        statistics.save(stats, identity, out)
        found = review(stats, len(pictures))
        shown = inputs["prepare"].record.get("train_is", "train split")
        return {
            "summary": f"{counted(len(drawn), 'image')}, {shown} · {found.summary()}",
            **msgspec.to_builtins(found),
            "method": method,
            "select": select,
        }

    options = {"samples": samples, "method": method, "seed": seed, "select": select}
    reads = ("export", "prepare", *(("features",) if ready else ()))
    return Stage("calibrate", 11, reads, options, observe.tools(), run)


def _singly(pictures: npt.NDArray[Any], drawn: Iterable[int]) -> Iterator[npt.NDArray[Any]]:
    return (np.ascontiguousarray(pictures[index : index + 1]) for index in drawn)
