"""What adaptation to another place brings where no label is at hand there (E5): CIFAR-10 pictures in fog, and at night.

Each seed draws labelled pictures and, among the others, frames without labels, puts the frames into that place, trains
ResNet-20 on the labelled ones by ``--method full``, and adapts it by each of the ways. The test file, put into
that place with other noise, judges; nothing saw it before. Seeds that are done are kept: the same command goes on.
"""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import _cifar
import cv2
import numpy as np
import numpy.typing as npt
import torch
from _results import FOLDER, Results, needed_data, parser

from edgetl.transfer import adapt, backbone
from edgetl.transfer.adapt import Labelled
from edgetl.transfer.augment import Augmenter, Batches, normalise
from edgetl.transfer.backbone import Net
from edgetl.transfer.fastpath import FastPath
from edgetl.transfer.methods.full import Full
from edgetl.transfer.policy import POLICIES
from edgetl.transfer.trainer import Trainer
from edgetl.types import BuildSpec
from edgetl.verify import corruptions
from edgetl.words import ADAPTATIONS

NAME = "resnet20_cifar10"
SEEDS = 5
PLACES = {"fog": "fog", "night": "low_light"}
SEVERITY = 4
LABELLED, SELECT = 640, 100
"""Pictures that train, and that choose the epoch; all others of the train file are frames of the place."""
EPOCHS, ALIGNING = 6, 5
"""Of the training, and of the alignments behind it."""
LEAST = 5.0
"""Points that the best way has to bring."""
RESAMPLES = 4000
PATH = FastPath(autocast="bfloat16", channels_last=True)
KEPT = FOLDER / "adapt.partial"

Array = npt.NDArray[Any]
Right = dict[str, list[int]]
"""Rows of the test file that were recognised, by ``place/way``; ``place/before`` is the network as it was trained."""


def put(pictures: Array, place: str, seed: int) -> Array:
    """The same pictures in a place, each with noise of its own."""
    kind = PLACES[place]
    rngs = [np.random.default_rng([seed, row]) for row in range(len(pictures))]
    return np.stack([corruptions.apply(one, kind, SEVERITY, rng) for one, rng in zip(pictures, rngs)])


def written(folder: Path, pictures: Array) -> list[str]:
    """PNG files of pictures; their names."""
    folder.mkdir(parents=True)
    names = [f"{row:04d}.png" for row in range(len(pictures))]
    for name, picture in zip(names, pictures):
        assert cv2.imwrite(str(folder / name), np.ascontiguousarray(picture[..., ::-1]))
    return names


def recognised(net: Net, pictures: Array, labels: Array) -> list[int]:
    """Rows that a network answers rightly."""
    said = []
    with torch.inference_mode():
        for start in range(0, len(pictures), 100):
            part = torch.from_numpy(pictures[start : start + 100]).permute(0, 3, 1, 2)
            said.append(net(normalise(part, _cifar.RULE)).argmax(dim=1).numpy())
    rows: list[int] = np.flatnonzero(np.concatenate(said) == labels).tolist()
    return rows


def trained(weights: Path, source: Labelled, spec: BuildSpec, state: Path) -> Net:
    """ResNet-20 with a new head, all of it trained on the labelled pictures."""
    module = _cifar.network(NAME, weights)
    torch.manual_seed(spec.seed)
    body, _, width = backbone.split(module, NAME)
    augmenter = Augmenter(POLICIES["default"], _cifar.RULE, 10)
    batches = Batches(source.root, source.paths, source.labels, augmenter, batch_size=32, seed=spec.seed)
    trainer = Trainer(
        Net(body, torch.nn.Linear(width, 10)),
        Full(None),
        batches,
        source.held,
        _cifar.RULE,
        PATH,
        epochs=spec.epochs,
        seed=spec.seed,
        state=state,
    )
    return trainer.train()[0].to(memory_format=torch.contiguous_format)


def adapted(net: Net, spec: BuildSpec, source: Labelled, folder: Path, frames: Array, state: Path) -> Net:
    """A copy of a network, fitted to frames that are in a folder, too, by the way that ``spec`` names."""
    made = copy.deepcopy(net)
    if spec.adapt_method in adapt.ALIGNMENTS:
        paths = sorted(path.name for path in folder.iterdir())
        made, _ = adapt.aligned(made, spec, source, folder, paths, _cifar.RULE, PATH, state)
        made.to(memory_format=torch.contiguous_format)
    adapt.with_statistics(made, spec, frames, _cifar.RULE)
    return made


def one_seed(data: Path, seed: int, epochs: tuple[int, int], frames: int | None = None) -> Right:
    """What each way recognises in each place."""
    pictures, labels = _cifar.pictures(data / "cls_cifar10/train.npz")
    tested, answers = _cifar.pictures(data / "cls_cifar10/test.npz")
    weights = data / f"weights/{NAME}.safetensors"
    order = np.random.default_rng([5, seed]).permutation(len(pictures))
    rows, held, others = np.split(order, [LABELLED, LABELLED + SELECT])
    found: Right = {}
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        root = home / "source"
        source = Labelled(
            root, written(root, pictures[rows]), labels[rows].tolist(), (pictures[held], labels[held])
        )
        net = trained(weights, source, BuildSpec(data="", seed=seed, epochs=epochs[0]), home / "state")
        for place in PLACES:
            seen, judged = put(pictures[others[:frames]], place, seed), put(tested, place, 1000 + seed)
            written(home / place, seen)
            found[f"{place}/before"] = recognised(net, judged, answers)
            for way in ADAPTATIONS:
                asked = BuildSpec(data="", seed=seed, epochs=epochs[1], adapt_method=way)
                made = adapted(net, asked, source, home / place, seen, home / f"state-{place}-{way}")
                found[f"{place}/{way}"] = recognised(made, judged, answers)
                gain = len(found[f"{place}/{way}"]) - len(found[f"{place}/before"])
                print(f"seed {seed}, {place}, {way}: {gain:+d} of {len(answers)}", flush=True)
    return found


def gains(seeds: list[Right], place: str, way: str, count: int) -> tuple[float, tuple[float, float]]:
    """Points that a way brought in a place, and their interval: seeds and pictures are drawn anew, each for itself.

    Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2).
    """
    apart = np.zeros((len(seeds), count))
    for row, right in enumerate(seeds):
        apart[row, right[f"{place}/{way}"]] += 100.0
        apart[row, right[f"{place}/before"]] -= 100.0
    rng = np.random.default_rng(0)
    means = []
    for _ in range(RESAMPLES):
        by_picture = apart[rng.integers(0, len(seeds), len(seeds))].mean(axis=0)
        means.append(by_picture[rng.integers(0, count, count)].mean())
    low, high = np.quantile(means, [0.025, 0.975])
    return float(apart.mean()), (float(low), float(high))


def rows_of(results: Results, seeds: list[Right], count: int) -> None:
    """A row for each way in each place, and for the best of AdaBN, CORAL and DANN."""
    for place in PLACES:
        for way in ("before", *ADAPTATIONS):
            accuracy = float(np.mean([len(right[f"{place}/{way}"]) for right in seeds])) / count
            results.row(f"{place}: {way}", 100 * accuracy, "% top-1", n=len(seeds) * count)
        best: tuple[float, tuple[float, float]] = (-100.0, (-100.0, -100.0))
        for way, called in ADAPTATIONS.items():
            gain, interval = gains(seeds, place, way, count)
            is_judged = way != "tent"
            results.row(
                f"E5 {place}: gain of {called}",
                gain,
                "points",
                ci95=interval,
                n=count,
                target=">= 0" if is_judged else None,
                met=gain >= 0 if is_judged else None,
            )
            best = max(best, (gain, interval)) if is_judged else best
        results.row(
            f"E5 {place}: gain of the best",
            best[0],
            "points",
            ci95=best[1],
            n=count,
            target=f">= {LEAST:g}",
            met=best[0] >= LEAST,
            note=f"{len(seeds)} seeds, {count} test pictures, ResNet-20, severity {SEVERITY}, no label of the place",
        )


def main() -> None:
    """Run every seed that is not kept yet, and write the rows."""
    options = parser(__doc__).parse_args()
    data = needed_data()
    torch.set_num_threads(1)  # small layers: a second thread mostly waits, and its number would change bits
    torch.use_deterministic_algorithms(True, warn_only=True)
    count = len(_cifar.pictures(data / "cls_cifar10/test.npz")[1])
    if options.quick:
        done = {"0": one_seed(data, 0, epochs=(1, 1), frames=64)}
    else:
        done = json.loads(KEPT.read_text()) if KEPT.exists() else {}
        for seed in range(SEEDS):
            if str(seed) not in done:
                done[str(seed)] = one_seed(data, seed, (EPOCHS, ALIGNING))
                KEPT.write_text(json.dumps(done))
    results = Results("adapt", quick=options.quick, also=("torch", "torchvision"))
    seeds = [done[str(seed)] for seed in range(1 if options.quick else SEEDS)]
    rows_of(results, seeds, count)
    results.keep("recognised", done)
    results.write()
    KEPT.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
