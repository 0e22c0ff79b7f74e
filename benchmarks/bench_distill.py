"""E4: what a teacher brings to a network that is too small to learn as much from the labels alone.

The student is a ResNet-8 from random weights, the teacher a ResNet-56 that was trained on all of CIFAR-10. Both see
the 200 labelled pictures a class of the shared data, by the product's own ``edgetl train --method full``, ``distill``
and ``rkd``. A seed draws the select images, the network and the augmentation; all three share them, the epochs and
the learning rate, which were chosen on a part of the training pictures. What the losses weigh is the literature's.
Judged is the gain over the student alone on the 1000 test pictures, paired by seed and picture.

Every training is kept in the cache of artifacts: a run that was ended goes on where it was, and ``--seeds 7`` after 5
trains two more.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from _cifar import pictures, unpack
from _results import Results, needed_data, parser

from edgetl import single
from edgetl.home import cache_folder
from edgetl.pipeline import Silent
from edgetl.transfer import checkpoint
from edgetl.transfer.answers import logits_of
from edgetl.types import BuildSpec

ARMS = {"full": "the student alone", "distill": "logit distillation", "rkd": "relational distillation"}
SEEDS = 5
EPOCHS = 100
RATE = 6e-3
LEAST_GAIN = 1.0
"""Points over the student alone."""
RESAMPLES = 4000

Right = npt.NDArray[np.bool_]


def trained(root: Path, weights: Path, method: str, seed: int, epochs: int, folder: Path) -> Path:
    """The checkpoint of one training."""
    teacher: dict[str, Any] = {}
    if method != "full":
        teacher = {"teacher": "_cifar_nets:resnet56", "teacher_weights": str(weights)}
    spec = BuildSpec(
        data=str(root),
        model="_cifar_nets:resnet8",
        weights="none",
        method=method,
        image_size=32,
        crop=(1, 1),
        epochs=epochs,
        lr=RATE,
        seed=seed,
        **teacher,
    )
    out = folder / f"{method}-{seed}"
    found = single.train(spec, out, cache=cache_folder(), progress=Silent())
    print(f"seed {seed}, {ARMS[method]}: {found['summary']}", flush=True)
    return out


def right_on(place: Path, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> Right:
    """Which pictures a checkpoint is right on."""
    net, record = checkpoint.load(place)
    found: Right = logits_of(net, record.preprocess, images).argmax(axis=1) == labels
    return found


def gain(ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> tuple[float, tuple[float, float]]:
    """Points gained and their interval: seeds and pictures are both drawn again, each for itself.

    Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2).

    Parameters
    ----------
    ours, theirs : bool (seeds, pictures).
    """
    apart = 100.0 * (ours.astype(float) - theirs)
    seeds, count = apart.shape
    rng = np.random.default_rng(0)
    means = [
        apart[rng.integers(0, seeds, seeds)].mean(axis=0)[rng.integers(0, count, count)].mean()
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(apart.mean()), (float(low), float(high))


def main() -> None:
    """Measure, and write the file."""
    made = parser(__doc__)
    made.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help="trainings of each kind")
    options = made.parse_args()
    data = needed_data()
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # trainings are processes of their own
    seeds, epochs = (1, 1) if options.quick else (options.seeds, EPOCHS)
    results = Results("distill", quick=options.quick, also=("torch",))
    images, labels = pictures(data / "cls_cifar10" / "test.npz")
    weights = data / "weights" / "resnet56_cifar10.safetensors"
    right: dict[str, list[Right]] = {method: [] for method in ARMS}
    with tempfile.TemporaryDirectory() as scratch:
        root = unpack(data / "cls_cifar10", Path(scratch) / "cifar10")
        for seed in range(seeds):
            for method in ARMS:
                place = trained(root, weights, method, seed, epochs, Path(scratch))
                right[method].append(right_on(place, images, labels))
    for method, called in ARMS.items():
        shares = [100 * float(one.mean()) for one in right[method]]
        results.keep(
            called, {"accuracy": shares, "right": [np.nonzero(one)[0].tolist() for one in right[method]]}
        )
        results.row(f"E4 {called}", float(np.mean(shares)), "% top-1", n=len(labels), note=f"{seeds} seeds")
    for method in ("distill", "rkd"):
        points, interval = gain(np.stack(right[method]), np.stack(right["full"]))
        results.row(
            f"E4 gain of {ARMS[method]}",
            points,
            "points",
            ci95=interval,
            n=len(labels),
            target=f">= {LEAST_GAIN:g}",
            met=points >= LEAST_GAIN,
            note=f"paired over {seeds} seeds and the pictures",
        )
    results.write()


if __name__ == "__main__":
    main()
