"""What the pretraining of ``--model tiny`` brings where labels are few, against the same network from random weights.

Each seed draws other labelled pictures and another random network; both sides get the same pictures and the
product's own methods: frozen features with ``fit_head``, and full training. The photographs measure; none of
them made the weights.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from _results import Results, needed_data, parser
from threadpoolctl import threadpool_limits

from edgetl import stats
from edgetl.data.decode import read_image
from edgetl.runtime import preprocess as rule
from edgetl.transfer import backbone
from edgetl.transfer.augment import Augmenter, Batches, normalise
from edgetl.transfer.fastpath import FastPath
from edgetl.transfer.methods.feature import fit_head
from edgetl.transfer.methods.full import Full
from edgetl.transfer.policy import POLICIES
from edgetl.transfer.trainer import Trainer
from edgetl.types import BuildSpec, Preprocess

SHOTS = (5, 10)
SEEDS = 12
FULL_SHOTS = 10
FULL_EPOCHS = 40
POOL = 400
"""Training pictures of CIFAR-10 that labels are drawn among."""
GAIN = 3.0
"""Points over random weights below which the pretraining would not be worth its file."""

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Scores = list[tuple[float, float]]
"""Accuracy of the pretrained and of the random network, in percent, seed by seed."""


@dataclass(frozen=True)
class Photographs:
    """What is measured on.

    Attributes
    ----------
    pictures, labels, paths : at their own size; the paths hang on ``folder``, and are empty for a packed set.
    pool : labels are drawn among the first so many; the rest judge, with what was not drawn where ``rest_judges``.
    """

    name: str
    folder: Path
    pictures: list[Images]
    labels: Labels
    paths: list[str]
    pool: int
    rest_judges: bool

    def draw(self, rng: np.random.Generator, shots: int) -> tuple[Labels, Labels]:
        """Rows that are labelled, ``shots`` a class in the order of classes, and rows that judge."""
        shuffled = rng.permutation(self.pool)
        classes = np.unique(self.labels)
        kept = np.concatenate([shuffled[self.labels[shuffled] == c][:shots] for c in classes])
        judges = np.setdiff1d(np.arange(0 if self.rest_judges else self.pool, len(self.labels)), kept)
        return kept, judges

    def at(self, preprocess: Preprocess) -> Images:
        """All pictures as the network's input, uint8 (N, H, W, 3)."""
        return np.stack([rule.apply(picture, preprocess) for picture in self.pictures])


def hymenoptera(data: Path) -> Photographs:
    """Ants and bees."""
    folder = data / "cls_hymenoptera"
    files = sorted(folder.rglob("*.jpg"))
    labels = np.array([int(file.parent.name == "bees") for file in files])
    paths = [file.relative_to(folder).as_posix() for file in files]
    pictures = [read_image(file) for file in files]
    return Photographs("hymenoptera", folder, pictures, labels, paths, len(files), rest_judges=True)


def cifar(data: Path) -> Photographs:
    """CIFAR-10: labels among the first training pictures, the whole test file judges."""
    pictures, labels = [], []
    for name, most in (("train", POOL), ("test", None)):
        packed = np.load(data / "cls_cifar10" / f"{name}.npz")
        body, offsets = packed["jpeg"].tobytes(), packed["offsets"]
        pictures += [read_image(body[a:b]) for a, b in list(pairwise(offsets))[:most]]
        labels += packed["labels"].tolist()[:most]
    return Photographs("CIFAR-10", data, pictures, np.array(labels), [], POOL, rest_judges=False)


def features(made: backbone.Backbone, images: Images) -> npt.NDArray[np.float32]:
    """Frozen features (N, D)."""
    said = []
    with torch.inference_mode():
        for start in range(0, len(images), 64):
            part = torch.from_numpy(images[start : start + 64]).permute(0, 3, 1, 2)
            said.append(made.net.body(normalise(part, made.preprocess)).numpy())
    return np.concatenate(said)


def frozen(results: Results, photographs: Photographs, spec: BuildSpec, seeds: int) -> None:
    """Rows for frozen features and the product's head, at each number of labels."""
    labels = photographs.labels
    classes = int(labels.max()) + 1
    start = backbone.create(spec, classes)
    images = photographs.at(start.preprocess)
    pretrained = features(start, images)
    scores: dict[int, Scores] = {shots: [] for shots in SHOTS}
    for seed in range(seeds):
        fresh = backbone.create(_with(spec, weights="none", seed=seed), classes)
        sides = (pretrained, features(fresh, images))
        for shots in SHOTS:
            kept, judges = photographs.draw(np.random.default_rng([seed, shots]), shots)
            pair = []
            for side in sides:
                head = fit_head(side[kept], labels[kept], classes, seed)
                said = side[judges] @ head.weight.T + head.bias
                pair.append(100 * float((said.argmax(axis=1) == labels[judges]).mean()))
            scores[shots].append((pair[0], pair[1]))
    for shots in SHOTS:
        _rows(results, f"{photographs.name} at {spec.image_size} px, {shots} a class, frozen", scores[shots])


def full(results: Results, photographs: Photographs, spec: BuildSpec, seeds: int) -> None:
    """Rows for full training on a few labels of two classes; as many again choose the epoch."""
    scores: Scores = []
    for seed in range(seeds):
        rng = np.random.default_rng([seed, FULL_SHOTS])
        drawn, judges = photographs.draw(rng, 2 * FULL_SHOTS)
        kept, held = drawn.reshape(2, 2, FULL_SHOTS).transpose(1, 0, 2).reshape(2, -1)
        pair = [
            _trained(photographs, kept, held, judges, _with(spec, weights=weights, seed=seed))
            for weights in (spec.weights, "none")
        ]
        scores.append((pair[0], pair[1]))
    _rows(results, f"{photographs.name} at {spec.image_size} px, {FULL_SHOTS} a class, full", scores)


def _trained(photographs: Photographs, kept: Labels, held: Labels, judges: Labels, spec: BuildSpec) -> float:
    """Accuracy in percent of a fully trained network: rows that train it, choose the epoch, and judge."""
    made = backbone.create(spec, 2)
    images, labels = photographs.at(made.preprocess), photographs.labels
    batches = Batches(
        photographs.folder,
        [photographs.paths[row] for row in kept],
        labels[kept].tolist(),
        Augmenter(POLICIES["default"], made.preprocess, 2),
        batch_size=len(kept),
        seed=spec.seed,
    )
    with tempfile.TemporaryDirectory() as state:
        net, _ = Trainer(
            made.net,
            Full(None),
            batches,
            (images[held], labels[held]),
            made.preprocess,
            FastPath(),
            epochs=FULL_EPOCHS,
            seed=spec.seed,
            state=Path(state),
        ).train()
    with torch.inference_mode():
        said = net.head(torch.from_numpy(features(made, images[judges]))).argmax(dim=1).numpy()
    return 100 * float((said == labels[judges]).mean())


def _with(spec: BuildSpec, *, weights: str, seed: int) -> BuildSpec:
    return BuildSpec(data=spec.data, model=spec.model, image_size=spec.image_size, weights=weights, seed=seed)


def _rows(results: Results, what: str, scores: Scores) -> None:
    """Accuracy of both sides, and the gain, paired by seed."""
    results.keep(what, scores)
    for name, side in zip(("pretrained", "random"), zip(*scores)):
        results.row(f"{what}: {name}", float(np.mean(side)), "% top-1", n=len(scores))
    gains = [a - b for a, b in scores]
    gain, spread = stats.hodges_lehmann(gains), stats.signed_rank_interval(gains)
    results.row(
        f"{what}: gain",
        gain,
        "points",
        ci95=spread,
        n=len(scores),
        target=f">= {GAIN}, proven above 0",
        met=gain >= GAIN and spread is not None and spread[0] > 0,
    )


def main() -> None:
    """Measure and write the file."""
    made = parser(__doc__)
    made.add_argument("--weights", default="DEFAULT", help="another file of weights to judge")
    options = made.parse_args()
    data = needed_data()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    results = Results("tiny", quick=options.quick, also=("torch", "scikit-learn"))
    insects = hymenoptera(data)
    seeds = 2 if options.quick else SEEDS
    with threadpool_limits(1):  # matrices of a few rows: a second thread only waits
        for photographs, size in ((insects, 64), (insects, 96), (cifar(data), 64)):
            spec = BuildSpec(data="", model="tiny", weights=options.weights, image_size=size)
            frozen(results, photographs, spec, seeds)
        full(results, insects, _with(spec, weights=options.weights, seed=0), seeds)
    results.write()


if __name__ == "__main__":
    main()
