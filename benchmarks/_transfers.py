"""Trainings of the product as benchmarks run them: from labelled pictures to which test pictures are got right.

What a run came to is kept beside the artifacts, so that a program that was ended goes on with the next run. Another
commit begins anew.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgetl import digest, single
from edgetl.data import layout
from edgetl.data.decode import load_images
from edgetl.home import cache_folder
from edgetl.pipeline import Silent
from edgetl.runtime import preprocess as rule
from edgetl.transfer import checkpoint
from edgetl.transfer.augment import normalise
from edgetl.types import BuildSpec

__all__ = ["LITE0", "Ledger", "Run", "accuracy", "few", "gain", "lite0", "trained"]

LITE0 = "timm/tf_efficientnet_lite0"
RESAMPLES = 4000

Run = dict[str, Any]


class Ledger:
    """What runs came to, by name; a run that is there is not done again.

    Parameters
    ----------
    what : name of the program. commit : that is measured.
    """

    def __init__(self, what: str, commit: str | None) -> None:
        self._file = cache_folder() / "benchmarks" / f"{what}.json"
        kept = json.loads(self._file.read_bytes()) if self._file.is_file() else {}
        self._commit = commit
        self._runs: dict[str, Run] = kept["runs"] if kept.get("commit") == commit else {}

    def of(self, name: str, run: Callable[[], Run]) -> Run:
        """The result of a run, from an earlier day where it is there."""
        if name not in self._runs:
            self._runs[name] = run()
            self._file.parent.mkdir(parents=True, exist_ok=True)
            partial = self._file.with_suffix(".partial")
            partial.write_bytes(digest.canonical_json({"commit": self._commit, "runs": self._runs}))
            partial.replace(self._file)
        found = self._runs[name]
        print(f"{name}: {100 * accuracy(found):.1f} %, {found['seconds']:.0f} s  {found['said']}", flush=True)
        return found


def accuracy(run: Mapping[str, Any]) -> float:
    """Share of the test pictures that it got right."""
    return float(np.mean(run["right"]))


def few(source: Path, root: Path, labels: int | None, tested: int | None, seed: int) -> Path:
    """A data set with some labelled pictures of each class: those to select on are drawn from them.

    Parameters
    ----------
    source : with ``train/`` and ``val/`` or ``test/``. labels : of each class to train and select on; ``None``: all.
    tested : of each class to test on; ``None``: all. seed : of the draw; the test pictures are the same for all.
    """
    for role, count, drawn in (("train", labels, seed), ("val", tested, 0), ("test", tested, 0)):
        for folder in sorted((source / role).iterdir()) if (source / role).is_dir() else ():
            files = sorted(folder.iterdir())
            order = np.random.default_rng(drawn).permutation(len(files))[:count]
            (root / role / folder.name).mkdir(parents=True)
            for index in sorted(order):
                shutil.copy(files[index], root / role / folder.name)
    return root


def lite0(data: Path, root: Path, method: str, seed: int, **options: Any) -> BuildSpec:
    """A request for efficientnet_lite0 with ImageNet's weights, or from random ones as ``scratch``."""
    weights = str(data / "weights" / "efficientnet_lite0_imagenet.safetensors")
    options = {"weights": "none" if method == "scratch" else weights, **options}
    if method == "scratch":  # the same normalisation as the weights want
        options = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), **options}
    named = "full" if method == "scratch" else method
    return BuildSpec(data=str(root), model=LITE0, method=named, seed=seed, **options)


def trained(spec: BuildSpec, cache: Path) -> Run:
    """Train as ``edgetl train`` does, and look at every test picture."""
    with tempfile.TemporaryDirectory() as scratch:
        begun = time.perf_counter()
        found = single.train(spec, Path(scratch) / "checkpoint", cache=cache, progress=Silent())
        seconds = time.perf_counter() - begun
        net, record = checkpoint.load(Path(scratch) / "checkpoint")
    source = Path(spec.data)
    tested = [s for s in layout.scan(source, seed=spec.seed).samples if s.role == "test"]
    pictures = load_images(
        source, [s.path for s in tested], lambda image: rule.apply(image, record.preprocess)
    )
    right = []
    with torch.inference_mode():
        for sample, picture in zip(tested, pictures):
            batch = normalise(torch.from_numpy(picture[None]).permute(0, 3, 1, 2), record.preprocess)
            right.append(int(net(batch).argmax()) == sample.label)
    return {"right": right, "seconds": seconds, "said": found["summary"], "training": found["training"]}


def gain(ours: Iterable[Run], theirs: Iterable[Run]) -> tuple[float, tuple[float, float]]:
    """Points gained and their 95 % interval: seeds and pictures are both drawn again, each for itself.

    Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2).

    Parameters
    ----------
    ours, theirs : one run a seed, on the same pictures.
    """
    apart = 100.0 * (
        np.array([run["right"] for run in ours], float) - np.array([run["right"] for run in theirs], float)
    )
    seeds, count = apart.shape
    rng = np.random.default_rng(0)
    means = [
        apart[rng.integers(0, seeds, seeds)].mean(axis=0)[rng.integers(0, count, count)].mean()
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(apart.mean()), (float(low), float(high))
