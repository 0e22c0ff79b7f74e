"""The head of ``--method feature`` against scikit-learn's default on plain features, on held-back training pictures.

A quarter of the training pictures of each class is held back, again and again; no test picture is looked at. Two cases
that want the opposite: a wide network on few pictures, whose features say by their spread what they know, and a narrow
one that needs them all (decision 19). Beside the head that ships stands what it is with one of the two divisors alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import _backbones
import numpy as np
import torch
from _cifar import unpack
from _results import Results, needed_data, parser
from sklearn.linear_model import LogisticRegression

from edgetl.data.decode import load_images
from edgetl.runtime import preprocess as rule
from edgetl.transfer import backbone
from edgetl.transfer.augment import normalise
from edgetl.transfer.methods import feature
from edgetl.types import BuildSpec

CASES = {"ants and bees, efficientnet_lite0": None, "CIFAR-10 pictures, 40 a class, resnet8": 40}
"""Pictures of each class to fit on; ``None``: all that are not held back."""
SPLITS = 30
ALL = dict(feature.STRENGTHS)


def features_of(root: Path, given: str) -> tuple[Any, Any]:
    """Frozen features of the training pictures, float32 (N, D), and their labels."""
    model, _, weights = given.partition("=")
    classes = sorted((root / "train").iterdir())
    files = [(file, label) for label, folder in enumerate(classes) for file in sorted(folder.iterdir())]
    made = backbone.create(
        BuildSpec(data=str(root), model=model, weights=weights, method="full"), len(classes)
    )
    names = [str(file.relative_to(root)) for file, _ in files]
    frames = np.stack(list(load_images(root, names, lambda frame: rule.apply(frame, made.preprocess))))
    pictures = torch.from_numpy(frames).permute(0, 3, 1, 2)
    with torch.inference_mode():
        parts = [made.net.eval().body(normalise(part, made.preprocess)) for part in pictures.split(64)]
    return torch.cat(parts).numpy(), np.array([label for _, label in files])


def split(labels: Any, count: int | None, seed: int) -> tuple[Any, Any]:
    """Rows to fit on and rows held back."""
    rng, fit, held = np.random.default_rng(seed), [], []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        held.append(rows[: len(rows) // 4])
        fit.append(rows[len(rows) // 4 :][:count])
    return np.concatenate(fit), np.concatenate(held)


def right(
    features: Any, labels: Any, fit: Any, held: Any, seed: int, strengths: Mapping[Any, Any] | None
) -> float:
    """Accuracy on the held rows: of scikit-learn's default where there are no ``strengths``."""
    if strengths is None:
        model = LogisticRegression(max_iter=1000).fit(features[fit], labels[fit])
        return float((model.predict(features[held]) == labels[held]).mean())
    feature.STRENGTHS = dict(strengths)
    head = feature.fit_head(features[fit], labels[fit], int(labels.max()) + 1, seed)
    return float(((features[held] @ head.weight.T + head.bias).argmax(axis=1) == labels[held]).mean())


def main() -> None:
    """Measure, and write the file."""
    options = parser(__doc__).parse_args()
    data = needed_data()
    results = Results("probe", quick=options.quick, also=("torch", "timm", "scikit-learn"))
    sides = {
        "scikit-learn's default": None,
        "each by its own spread": {"each": ALL["each"]},
        "all by one": {"all": ALL["all"]},
        "as it ships": ALL,
    }
    with tempfile.TemporaryDirectory() as scratch:
        given = _backbones.place_weights(data / "weights", Path(scratch), ("efficientnet_lite0", "resnet8"))
        roots = (data / "cls_hymenoptera", unpack(data / "cls_cifar10", Path(scratch) / "cifar10"))
        for (called, count), root, model in zip(CASES.items(), roots, given.values()):
            features, labels = features_of(root, model)
            shown = {}
            for side, strengths in sides.items():
                found = []
                for seed in range(2 if options.quick else SPLITS):
                    fit, held = split(labels, count, seed)
                    found.append(right(features, labels, fit, held, seed, strengths))
                shown[side] = 100 * float(np.mean(found))
                results.keep(f"{called}, {side}", found)
                results.row(f"{called}, {side}", shown[side], "% top-1", n=len(found), note="splits")
            apart = shown["as it ships"] - shown["scikit-learn's default"]
            results.row(f"{called}, as it ships over scikit-learn's default", apart, "points")
    results.write()


if __name__ == "__main__":
    main()
