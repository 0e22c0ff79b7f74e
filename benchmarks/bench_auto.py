"""E1: ``--method auto`` against the recipe of PyTorch's transfer tutorial, and against scikit-learn on frozen features.

efficientnet_lite0 with ImageNet's weights on the ants and bees that the tutorial uses. All train on the pictures of
``train/`` (ours gives up a share of them to select on) and are judged on those of ``val/``, which nobody selects by.
The tutorial: all weights by SGD (rate 0.001, momentum 0.9, a tenth after every 7 epochs), 25 epochs, batches of 4,
random crops and flips; its own code keeps the epoch that is best on ``val/``, which a note tells and nothing is judged
by. Its time is that of its epochs without that evaluation. Scikit-learn: ``LogisticRegression`` as it comes, on
features of the same body. Seconds of ours begin with nothing cached and hold export, compilation and choice.

A run is kept once it is done: a program that was ended goes on with the next one.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _results import Results, needed_data, parser
from _transfers import Ledger, Run, accuracy, few, gain, lite0, trained
from sklearn.linear_model import LogisticRegression
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from edgetl.transfer import backbone

SEEDS = 5
EPOCHS = 25
BATCH = 4
AT_MOST = 0.5
"""Share of the tutorial's time."""


def sets(root: Path, made: backbone.Backbone) -> tuple[Any, Any]:
    """The tutorial's data sets, with the normalisation that these weights want."""
    tail = [transforms.ToTensor(), transforms.Normalize(made.preprocess.mean, made.preprocess.std)]
    varied = [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip()]
    plain = [transforms.Resize(256), transforms.CenterCrop(224)]
    train = datasets.ImageFolder(root / "train", transforms.Compose([*varied, *tail]))
    return train, datasets.ImageFolder(root / "val", transforms.Compose([*plain, *tail]))


def tutorial(data: Path, root: Path, seed: int, epochs: int) -> Run:
    """Fine-tune everything as the tutorial does."""
    made = backbone.create(lite0(data, root, "full", seed), 2)
    net, (train, held) = made.net, sets(root, made)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    loader = DataLoader(train, batch_size=BATCH, shuffle=True, num_workers=2)
    seconds, every = 0.0, []
    for _ in range(epochs):
        begun = time.perf_counter()
        net.train()
        for pictures, labels in loader:
            loss = functional.cross_entropy(net(pictures), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        seconds += time.perf_counter() - begun
        every.append(right_on(net, held))
    best = max(float(np.mean(right)) for right in every)
    return {
        "right": every[-1],
        "seconds": seconds,
        "said": f"best epoch on val {100 * best:.1f} %",
        "best": best,
    }


def right_on(net: torch.nn.Module, held: Any) -> list[bool]:
    """Which pictures a network is right on."""
    net.eval()
    right: list[bool] = []
    with torch.inference_mode():
        for pictures, labels in DataLoader(held, batch_size=32):
            right += (net(pictures).argmax(1) == labels).tolist()
    return right


def probe(data: Path, root: Path) -> Run:
    """Logistic regression on frozen features, all of ``train/``."""
    begun = time.perf_counter()
    made = backbone.create(lite0(data, root, "full", 0), 2)
    _, held = sets(root, made)
    plain = datasets.ImageFolder(root / "train", held.transform)
    found = []
    with torch.inference_mode():
        for pictures in (plain, held):
            parts = [(made.net.body(x).numpy(), y.numpy()) for x, y in DataLoader(pictures, batch_size=32)]
            found.append([np.concatenate(side) for side in zip(*parts)])
    (features, labels), (tested, truth) = found
    model = LogisticRegression(max_iter=1000).fit(features, labels)
    right = (model.predict(tested) == truth).tolist()
    return {"right": right, "seconds": time.perf_counter() - begun, "said": ""}


def main() -> None:
    """Measure, and write the file."""
    options = parser(__doc__).parse_args()
    data = needed_data()
    torch.set_num_threads(2)
    results = Results("auto", quick=options.quick, also=("torch", "timm", "scikit-learn"))
    ledger = Ledger("auto.quick" if options.quick else "auto", results.commit)
    seeds, epochs = (1, 1) if options.quick else (SEEDS, EPOCHS)
    labels, tested = (24, 8) if options.quick else (None, None)
    rest = {"epochs": 1, "batch_size": 16} if options.quick else {}
    ours, theirs, frozen = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        root = few(data / "cls_hymenoptera", Path(scratch) / "insects", labels, tested, seed=0)
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as cache:
                spec = lite0(data, root, "auto", seed, **rest)
                ours.append(ledger.of(f"auto, seed {seed}", lambda: trained(spec, Path(cache))))  # noqa: B023
            name = f"tutorial, seed {seed}"
            theirs.append(ledger.of(name, lambda: tutorial(data, root, seed, epochs)))  # noqa: B023
            frozen.append(ledger.of("scikit-learn", lambda: probe(data, root)))
    report(results, ours, theirs, frozen)
    if options.quick:
        steps = 24 * 2 / BATCH
        whole = SEEDS * (EPOCHS * theirs[0]["seconds"] * 244 / (steps * BATCH)) / 60
        print(f"a whole run takes about {1.3 * whole:.0f} min, most of it the tutorial's epochs")
    results.write()


def report(results: Results, ours: list[Run], theirs: list[Run], frozen: list[Run]) -> None:
    """Rows: the three accuracies, the gain over the better peer, and the time."""
    sides = {"auto": ours, "the tutorial": theirs, "scikit-learn on features": frozen}
    count = len(ours[0]["right"])
    for called, runs in sides.items():
        results.keep(called, runs)
        note = f"{len(runs)} seeds, {np.mean([run['seconds'] for run in runs]):.0f} s each"
        if runs is theirs:
            note += f"; {100 * np.mean([run['best'] for run in runs]):.1f} % were it to pick its epoch by the test"
        shown = 100 * float(np.mean([accuracy(run) for run in runs]))
        results.row(f"E1 {called}", shown, "% top-1", n=count, note=note)
    better = max((theirs, frozen), key=lambda runs: float(np.mean([accuracy(run) for run in runs])))
    for called, runs in (("the tutorial", theirs), ("scikit-learn", frozen)):
        points, interval = gain(ours, runs)
        judged = runs is better
        results.row(
            f"E1 auto over {called}",
            points,
            "points",
            ci95=interval,
            n=count,
            target=">= 0" if judged else None,
            met=points >= 0 if judged else None,
            note="the better of the two" if judged else "",
        )
    share = float(np.median([a["seconds"] / b["seconds"] for a, b in zip(ours, theirs)]))
    results.limit("E1 auto's time over the tutorial's", share, "ratio", at_most=AT_MOST)


if __name__ == "__main__":
    main()
