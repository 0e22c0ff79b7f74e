"""E6 and E8: whether ``edgetl advise`` ranks backbones as fine-tuning does, and how long it takes.

Nine pretrained backbones of the shared data on ants and bees and on the CIFAR-10 pictures: the frozen scores are those
that ``edgetl advise`` prints, run as a command with an empty cache, which is timed for E8 with eight of them on ants
and bees. All but mobilenet_v1_075, whose norms are folded, are then fine-tuned by ``edgetl train --method full``, on
ants and bees with two seeds, and judged on the test pictures. Agreement is Kendall's tau weighted by rank (Vigna 2015),
as in You et al. The same is told, without a target, for ``--method auto``, which keeps the frozen body where that is
better on the select images.

Every training is kept in the cache of artifacts: a run that was ended goes on where it was.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import _backbones
import numpy as np
import numpy.typing as npt
import torch
from _cifar import unpack
from _results import Results, needed_data, parser
from scipy.stats import weightedtau

from edgetl import single
from edgetl.data import layout
from edgetl.data.decode import load_images
from edgetl.home import cache_folder
from edgetl.pipeline import Silent
from edgetl.runtime import preprocess as rule
from edgetl.transfer import checkpoint
from edgetl.transfer.augment import normalise
from edgetl.types import BuildSpec

QUICK = ("resnet20", "resnet8", "tiny")
EPOCHS = {"hymenoptera": 30, "cifar10": 10}
SEEDS = {"hymenoptera": 2, "cifar10": 1}
"""122 pictures to judge by leave more to chance than 2000 do."""
MOST_SECONDS = 180.0
LEAST_TAU = 0.6
RESAMPLES = 2000
JUDGES: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "ours": lambda one: one["ours"],
    "LogME": lambda one: one["logme"],
    "NLEEP": lambda one: one["nleep"],
    "probe accuracy": lambda one: one["probe"],
    "probe log-likelihood": lambda one: one["log_likelihood"],
}

METHODS = {"full": "fine_tuned", "auto": "as_built"}

Right = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


def advise(
    root: Path, given: Mapping[str, str], *, picture: Path | None = None
) -> tuple[float, dict[str, Any]]:
    """Seconds of the command with an empty cache, and what it answers."""
    with tempfile.TemporaryDirectory() as cold:
        drawn = [] if picture is None else ["--picture", str(picture)]
        command = [sys.executable, "-m", "edgetl", "advise", "--data", str(root), "--json"]
        begun = time.perf_counter()
        told = subprocess.run(
            [*command, "--models", ",".join(given.values()), *drawn],
            env={**os.environ, "EDGETL_CACHE": cold},
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - begun
    if told.returncode:
        sys.exit(f"edgetl advise ended with {told.returncode}: {told.stdout}{told.stderr}")
    return seconds, json.loads(told.stdout)


def scores_of(answer: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What was said of each backbone, by its name here."""
    models = {text.partition("=")[0]: name for name, text in given.items()}
    found = {}
    for row in answer["backbones"]:
        one = {key: row[key] for key in ("probe", "log_likelihood", "logme", "nleep")}
        one["p50_ms"] = row["latency"]["p50_ms"] if row["latency"] else None
        found[models[row["name"].partition("=")[0]]] = {**one, "ours": row["score"]}
    return found


def right_of(root: Path, given: str, folder: Path, **training: Any) -> Right:
    """Which test pictures a backbone is right on, trained as the options of a build say."""
    model, _, weights = given.partition("=")
    spec = BuildSpec(data=str(root), model=model, weights=weights or "DEFAULT", **training)
    out = folder / f"{model.partition(':')[2] or model.replace('/', '-')}-{spec.method}-{spec.seed}"
    single.train(spec, out, cache=cache_folder(), progress=Silent())
    net, record = checkpoint.load(out)
    samples = [s for s in layout.scan(root, seed=spec.seed).samples if s.role == "test"]
    frames = load_images(root, [s.path for s in samples], lambda frame: rule.apply(frame, record.preprocess))
    pictures = torch.from_numpy(np.stack(list(frames))).permute(0, 3, 1, 2)
    with torch.inference_mode():
        logits = [net(normalise(part, record.preprocess)) for part in pictures.split(64)]
    said = torch.cat(logits).argmax(1).numpy()
    right: Right = said == np.array([s.label for s in samples])
    return right


def fine_tuned(root: Path, given: str, folder: Path, name: str, method: str, *, quick: bool) -> Right:
    """Which test pictures a backbone is right on, bool (seeds, pictures), trained for one of the data sets."""
    epochs = {"epochs": 1} if quick else {"epochs": EPOCHS[name]} if method == "full" else {}
    seeds = range(1 if quick or method == "auto" else SEEDS[name])
    return np.stack([right_of(root, given, folder, method=method, seed=seed, **epochs) for seed in seeds])


def tau(scores: Sequence[float], accuracies: Sequence[float]) -> float:
    """Kendall's tau, weighted hyperbolically by the mean of both rankings; 0 where all accuracies are one."""
    return float(np.nan_to_num(weightedtau(accuracies, scores).statistic))


def agreements(
    scores: Mapping[str, Mapping[str, Any]], right: Mapping[str, Right]
) -> dict[str, tuple[float, Floats]]:
    """How well each score agrees with the accuracies, and how well over resampled test pictures.

    Parameters
    ----------
    right : by backbone, bool (seeds, test pictures).
    """
    names = list(right)
    shares = np.stack([right[one].mean(axis=0) for one in names])
    rng = np.random.default_rng(0)
    drawn = [
        shares[:, rng.integers(0, shares.shape[1], shares.shape[1])].mean(axis=1) for _ in range(RESAMPLES)
    ]
    found = {}
    for called, of in JUDGES.items():
        values = [float(of(scores[one])) for one in names]
        spread = np.array([tau(values, accuracies.tolist()) for accuracies in drawn])
        found[called] = tau(values, shares.mean(axis=1).tolist()), spread
    return found


def judge(
    results: Results, name: str, found: Mapping[str, tuple[float, Floats]], count: int, *, judged: bool
) -> None:
    """Rows of one data set and method, and by how much our score agrees better than LogME; targets where judged."""
    for called, (agreement, spread) in found.items():
        aimed = judged and called == "ours"
        results.row(
            f"{name}, {called}",
            agreement,
            "weighted tau",
            ci95=interval(spread),
            n=count,
            note="with the accuracy on test pictures; interval over them",
            target=f">= {LEAST_TAU:g}" if aimed else None,
            met=agreement >= LEAST_TAU if aimed else None,
        )
    (ours, our_spread), (theirs, their_spread) = found["ours"], found["LogME"]
    results.row(
        f"{name}, ours minus LogME",
        ours - theirs,
        "weighted tau",
        ci95=interval(our_spread - their_spread),
        n=count,
        target=">= 0" if judged else None,
        met=ours >= theirs if judged else None,
    )


def interval(spread: Floats) -> tuple[float, float]:
    """Where 95 % of the resamples lie."""
    low, high = np.quantile(spread, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    """Measure, and write the file."""
    made = parser(__doc__)
    made.add_argument("--only", choices=tuple(EPOCHS), help="one of the data sets")
    made.add_argument(
        "--frozen", action="store_true", help="E8 alone: nothing is fine-tuned, nothing written"
    )
    made.add_argument("--picture", type=Path, help="where the front of ants and bees is drawn")
    options = made.parse_args()
    data = needed_data()
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # the factories, for processes of their own
    results = Results(
        "advise", quick=options.quick or options.frozen, also=("torch", "scikit-learn", "scipy")
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        names = QUICK if options.quick else _backbones.NAMES
        given = _backbones.place_weights(data / "weights", folder, names)
        for name in [options.only] if options.only else EPOCHS:
            root = (
                data / "cls_hymenoptera"
                if name == "hymenoptera"
                else unpack(data / "cls_cifar10", folder / name)
            )
            picture = options.picture if name == "hymenoptera" else None
            seconds, answer = advise(root, _timed(given), picture=picture)
            scores = scores_of(answer, given)
            if name == "hymenoptera":
                results.limit("E8 advise over 8 backbones", seconds, "s", at_most=MOST_SECONDS, n=len(scores))
                rows = [  # options hold our paths
                    {key: value for key, value in row.items() if key != "options"}
                    for row in answer["backbones"]
                ]
                results.keep("E8 answer", {"backbones": rows, "reason": answer["reason"]})
            rest = {one: text for one, text in given.items() if one not in scores}
            if rest:
                scores |= scores_of(advise(root, rest)[1], rest)
            for method, kept in {} if options.frozen else METHODS.items():
                right = {}
                for one in _timed(given):
                    right[one] = fine_tuned(
                        root, given[one], folder / name, name, method, quick=options.quick
                    )
                    scores[one][kept] = [float(shares.mean()) for shares in right[one]]
                    print(f"{name} {one}: {kept} {scores[one][kept]}", flush=True)
                judged = method == "full"
                called = f"E6 {name}" if judged else f"{name} as built"
                judge(results, called, agreements(scores, right), len(right), judged=judged)
            results.keep(name, scores)
    if not options.frozen:
        results.write()


def _timed(given: Mapping[str, str]) -> dict[str, str]:
    """The eight of E8: all that are fine-tuned."""
    return {name: text for name, text in given.items() if name != _backbones.FROZEN_ONLY}


if __name__ == "__main__":
    main()
