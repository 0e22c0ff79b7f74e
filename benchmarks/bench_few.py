"""E2: ``--method auto`` against training from scratch, frozen features, and all weights, where labels are few.

5, 10 and 40 labelled pictures a class, of which a share is selected on; efficientnet_lite0 with ImageNet's weights
(none from scratch), on ants and bees at 128 pixels and on the CIFAR-10 pictures at 64. A seed draws the labelled
pictures, the augmentation and what is random in a network; the pictures to test on are the same for all: every one of
ants and bees, 40 a class of CIFAR-10. All train as ``edgetl train`` does by itself.

A run is kept once it is done: a program that was ended goes on with the next one.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from _cifar import unpack
from _results import Results, needed_data, parser
from _transfers import Ledger, Run, accuracy, few, gain, lite0, trained

from edgetl.home import cache_folder

SEEDS = 5
LABELS = (5, 10, 40)
SIZES = {"hymenoptera": 128, "cifar10": 64}
TESTED = {"hymenoptera": None, "cifar10": 40}
RIVALS = ("scratch", "feature", "full")
WITHIN = 1.0
"""Points that auto may be below the best of them."""


def main() -> None:
    """Measure, and write the file."""
    made = parser(__doc__)
    made.add_argument("--only", choices=list(SIZES), help="one of the two data sets")
    options = made.parse_args()
    data = needed_data()
    torch.set_num_threads(2)
    results = Results("few", quick=options.quick, also=("torch", "timm", "scikit-learn"))
    ledger = Ledger("few.quick" if options.quick else "few", results.commit)
    seeds, sizes = (1, (5,)) if options.quick else (SEEDS, LABELS)
    with tempfile.TemporaryDirectory() as scratch:
        sources = {
            "hymenoptera": data / "cls_hymenoptera",
            "cifar10": unpack(data / "cls_cifar10", Path(scratch) / "cifar10"),
        }
        for called, source in sources.items():
            if options.only not in (None, called) or (options.quick and called == "cifar10"):
                continue
            for labels in sizes:
                runs = _runs(ledger, data, source, called, labels, seeds, quick=options.quick)
                _report(results, called, labels, runs)
    if options.quick:
        print("a whole run is 120 trainings of 10 to 60 s each: about 40 min; --only halves it")
    results.write()


def _runs(
    ledger: Ledger, data: Path, source: Path, called: str, labels: int, seeds: int, *, quick: bool
) -> dict[str, list[Run]]:
    """One run a seed of each method."""
    rest = {"epochs": 1} if quick else {}
    runs: dict[str, list[Run]] = {method: [] for method in ("auto", *RIVALS)}
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as scratch:
            root = few(source, Path(scratch) / called, labels, TESTED[called], seed)
            for method, found in runs.items():
                spec = lite0(data, root, method, seed, image_size=SIZES[called], **rest)
                name = f"{called}, {labels} a class, seed {seed}, {method}"
                found.append(ledger.of(name, lambda: trained(spec, cache_folder())))  # noqa: B023
    return runs


def _report(results: Results, called: str, labels: int, runs: dict[str, list[Run]]) -> None:
    """A row a method, and auto against the best of the others."""
    what, count = f"E2 {called}, {labels} a class", len(runs["auto"][0]["right"])
    shown = {method: 100 * float(np.mean([accuracy(run) for run in found])) for method, found in runs.items()}
    picked = ", ".join(sorted({run["training"]["picked"] for run in runs["auto"]}))
    for method, value in shown.items():
        note = f"{len(runs[method])} seeds" + (f"; picked {picked}" if method == "auto" else "")
        results.keep(f"{what}, {method}", [round(100 * accuracy(run), 2) for run in runs[method]])
        results.row(f"{what}, {method}", value, "% top-1", n=count, note=note)
    best = max(RIVALS, key=lambda method: shown[method])
    points, interval = gain(runs["auto"], runs[best])
    results.row(
        f"{what}, auto over {best}",
        points,
        "points",
        ci95=interval,
        n=count,
        target=f">= -{WITHIN:g}",
        met=points >= -WITHIN,
        note="the best of the three",
    )


if __name__ == "__main__":
    main()
