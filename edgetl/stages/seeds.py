"""seeds: the same training from several seeds; the spread is reported, and the best on the select images ships."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from edgetl import stats
from edgetl.cache import RECORD
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.stages import backbone, prepare
from edgetl.types import BuildSpec
from edgetl.words import counted

__all__ = ["spread", "stages"]


def stages(spec: BuildSpec, train_of: Callable[[BuildSpec], Stage]) -> list[Stage]:
    """A training a seed, each cached by itself, and the stage ``train`` that hands the chosen one on.

    Splits, calibration and teacher keep the first seed, so that all are judged on the same pictures.

    Parameters
    ----------
    train_of : the ``train`` stage of a request; only the seed differs.
    """
    seeds = range(spec.seed, spec.seed + spec.seeds)
    runs = [
        train_of(msgspec.structs.replace(spec, seed=seed)).again(f"train:{seed}", brief=partial(_brief, seed))
        for seed in seeds
    ]
    return [*runs, _chosen(tuple(seeds))]


def _brief(seed: int, record: Mapping[str, Any]) -> str:
    return f"seed {seed} {_percent(record['select_accuracy'])}"


def _chosen(seeds: Sequence[int]) -> Stage:
    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        from edgetl.transfer import checkpoint
        from edgetl.transfer.answers import logits_of

        pictures, labels = (
            prepare.images(inputs["prepare"], "test"),
            prepare.labels(inputs["prepare"], "test"),
        )
        rows: list[dict[str, Any]] = []
        for place, seed in enumerate(seeds):
            net, record = checkpoint.load(inputs[f"train:{seed}"].path)
            told = ctx.part(place * len(pictures), len(seeds) * len(pictures))
            right = logits_of(net, record.preprocess, pictures, told).argmax(axis=1) == labels
            rows.append(
                {
                    "seed": seed,
                    "select_accuracy": inputs[f"train:{seed}"].record["select_accuracy"],
                    "select_loss": inputs[f"train:{seed}"].record.get(
                        "select_loss", _least_loss(record.history)
                    ),
                    "test_accuracy": float(right.mean()),
                }
            )
        chosen = max(rows, key=lambda row: (row["select_accuracy"], -row["select_loss"]))
        source = inputs[f"train:{chosen['seed']}"]
        shutil.copytree(source.path, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns(RECORD))
        found = spread(rows, chosen["seed"])
        return {
            "summary": f"seed {chosen['seed']} ships, the best on select · test {_points(found['mean'])} % ± "
            f"{_points(found['sd'])} over {len(seeds)} seeds",
            "select_accuracy": chosen["select_accuracy"],
            "training": {**source.record.get("training", {}), "seeds": found},
            "notes": source.record.get("notes", []),
        }

    needs = ("prepare", *(f"train:{seed}" for seed in seeds))
    return Stage("train", 3, needs, {"seeds": list(seeds)}, backbone.versions_of("torch"), run, kind="seeds")


def _least_loss(history: Sequence[Mapping[str, Any]]) -> float:
    """Loss on the select images of the best epoch, which is kept where a training does not say another's.

    A head on features has none there.
    """
    epochs = [(-row["accuracy"], row["select_loss"]) for row in history if "accuracy" in row]
    return float(min(epochs)[1]) if epochs else 0.0


def spread(rows: Sequence[Mapping[str, Any]], chosen: int) -> dict[str, Any]:
    """What several trainings came to on the test images, in float.

    Parameters
    ----------
    rows : of each training ``seed``, ``select_accuracy`` and ``test_accuracy``, shares from 0 to 1.
    chosen : the seed that ships.

    Returns
    -------
    ``chosen``, ``runs``, ``mean``, ``sd`` (of a sample), ``min``, ``max``, ``ci95`` of the centre over seeds (``None``
    for one, and where all came to the same: that shows no spread, not that there is none) and a ``sentence``.
    """
    tested = [float(row["test_accuracy"]) for row in rows]
    apart = max(tested) > min(tested)
    bounds = stats.signed_rank_interval(tested) if apart else None
    interval = None if bounds is None else (max(bounds[0], 0.0), min(bounds[1], 1.0))
    mean = statistics.fmean(tested)
    sd = statistics.stdev(tested) if len(tested) > 1 else 0.0
    told = (
        f" ± {_points(sd)} (standard deviation), {_points(min(tested))} to {_points(max(tested))}"
        if apart
        else " each"
    )
    if interval is not None:
        told += f", 95 % interval over seeds [{_points(interval[0])}, {_points(interval[1])}]"
    return {
        "chosen": chosen,
        "runs": [dict(row) for row in rows],
        "mean": mean,
        "sd": sd,
        "min": min(tested),
        "max": max(tested),
        "ci95": None if interval is None else list(interval),
        "sentence": f"{counted(len(tested), 'seed')}: test {_points(mean)} %{told}; "
        f"seed {chosen} ships, the best on select",
    }


def _points(share: float) -> str:
    return f"{100 * share:.1f}"


def _percent(share: float) -> str:
    return f"{_points(share)} %"
