"""A trained network is fitted to frames of another place, in a process of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgetl import isolate
from edgetl.data.imbalance import decide
from edgetl.data.layout import Dataset
from edgetl.transfer import adabn, checkpoint, tent
from edgetl.transfer.augment import Augmenter, Batches, normalise
from edgetl.transfer.backbone import Net
from edgetl.transfer.fastpath import FastPath
from edgetl.transfer.methods.align import Aligned, Alignment
from edgetl.transfer.methods.coral import Coral
from edgetl.transfer.methods.dann import Dann
from edgetl.transfer.methods.full import Full
from edgetl.transfer.policy import policy_of
from edgetl.transfer.trainer import Progress, Trainer
from edgetl.types import BuildSpec, Preprocess

__all__ = ["ALIGNMENTS", "Labelled", "aligned", "run_json", "with_statistics"]

ALIGNMENTS: dict[str, type[Coral] | type[Dann]] = {"coral": Coral, "dann": Dann}
EPOCHS = 10
"""Of an alignment: it begins with a network that knows its classes."""


@dataclass(frozen=True)
class Labelled:
    """The source's pictures: those that are trained on, and the select images, which only show what becomes of it."""

    root: Path
    paths: list[str]
    labels: list[int]
    held: tuple[Any, Any]


def aligned(
    net: Net,
    spec: BuildSpec,
    source: Labelled,
    frames_root: Path,
    frames: list[str],
    preprocess: Preprocess,
    path: FastPath,
    state: Path,
) -> tuple[Net, Progress]:
    """Train all weights on, with the alignment of ``spec``; the last epoch's network, and what each epoch measured.

    However the network was trained before: a body that stays as it is cannot be aligned.

    Parameters
    ----------
    frames : paths below ``frames_root``. state : where a killed training finds its last whole epoch.
    """
    size = min(spec.batch_size, len(source.paths), len(frames))
    counts = np.bincount(source.labels).tolist()
    augmenter = Augmenter(policy_of(spec.augment, flip=spec.flip), preprocess, len(counts))
    balance = decide(spec.imbalance, counts)
    odds = balance.weights if balance.way == "sampling" else ()
    batches = Batches(
        source.root, source.paths, source.labels, augmenter, batch_size=size, seed=spec.seed, odds=odds
    )
    targets = Batches(frames_root, frames, [0] * len(frames), augmenter, batch_size=size, seed=spec.seed)
    alignment: Alignment = ALIGNMENTS[spec.adapt_method]()
    epochs = min(EPOCHS, spec.epochs)

    def place(pictures: Tensor) -> Tensor:
        return path.place(normalise(pictures, preprocess))

    torch.manual_seed(spec.seed)  # of what the alignment adds
    base = Full(spec.lr)
    base.weights = torch.tensor(balance.weights) if balance.way == "weights" else None
    method = Aligned(base, alignment, targets, place, epochs=epochs, steps=len(batches))
    trainer = Trainer(
        net,
        method,
        batches,
        source.held,
        preprocess,
        path,
        epochs=epochs,
        seed=spec.seed,
        state=state,
        keep_last=True,
    )
    return trainer.train()


def with_statistics(
    net: Net, spec: BuildSpec, frames: npt.NDArray[np.uint8], preprocess: Preprocess
) -> list[dict[str, Any]]:
    """Fit a network in place by target frames alone: ``adabn``, ``tent``, and what is left to do after an alignment.

    Returns
    -------
    What was measured on the way, an entry a pass.

    Raises
    ------
    InputError : it has no batch normalisation, and nothing else was to be done.
    """
    if spec.adapt_method in ALIGNMENTS and not adabn.has_norms(net):
        return []
    layers = adabn.norms(net, spec.model)
    passes = tent.PASSES if spec.adapt_method == "tent" else 0
    total, done = (passes + 1) * adabn.batch_count(len(frames)), 0

    def count() -> None:
        nonlocal done
        done += 1
        isolate.tick(done, total)

    history = []
    if passes:
        batches = (b for n in range(passes) for b in adabn.batches_of(frames, preprocess, seed=spec.seed + n))
        entropies = np.array_split(tent.sharpen(net, batches, layers, count), passes)
        history = [{"entropy": float(part.mean())} for part in entropies]
    adabn.estimate(net, adabn.batches_of(frames, preprocess, seed=spec.seed), layers, count)
    return history


def run_json(
    spec: dict[str, Any],
    trained: str,
    path: dict[str, Any],
    dataset: str,
    root: str,
    prepared: str,
    domain: str,
    frames_root: str,
    frames: list[str],
    out: str,
    state: str,
    threads: int,
) -> dict[str, Any]:
    """Adapt a checkpoint and write another; all arguments are JSON.

    Parameters
    ----------
    trained : folder of the checkpoint. dataset, root : samples of the source, and where their paths hang.
    prepared, domain : folders of the source's and of the target's arrays.
    frames : paths of the target frames below ``frames_root``.
    """
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    request = msgspec.convert(spec, BuildSpec)
    net, record = checkpoint.load(Path(trained))
    history: list[dict[str, Any]] = []
    notes: list[str] = []
    if request.adapt_method in ALIGNMENTS:
        source = _source(Path(dataset), Path(root), Path(prepared))
        net, done = aligned(
            net,
            request,
            source,
            Path(frames_root),
            frames,
            record.preprocess,
            msgspec.convert(path, FastPath),
            Path(state),
        )
        history, notes = done.history, [done.diverged] if done.diverged else []
    arrays = np.load(f"{domain}/train.npy", mmap_mode="r")
    history += with_statistics(net, request, arrays, record.preprocess)
    whole = msgspec.structs.replace(
        record,
        history=[*record.history, *history],
        choices={**record.choices, "adapted": request.adapt_method, "frames": len(arrays)},
    )
    checkpoint.save(net, whole, checkpoint.samples(Path(trained)), Path(out))
    shutil.rmtree(state, ignore_errors=True)
    return {"history": history, "notes": notes}


def _source(dataset: Path, root: Path, prepared: Path) -> Labelled:
    samples = [s for s in _samples(dataset) if s.role == "train"]
    held = (np.load(prepared / "select.npy", mmap_mode="r"), np.load(prepared / "select.labels.npy"))
    return Labelled(root, [s.path for s in samples], [s.label for s in samples], held)


def _samples(dataset: Path) -> Iterator[Any]:
    yield from msgspec.json.decode(dataset.read_bytes(), type=Dataset).samples
