"""The pictures that calibrate: drawn by class, or chosen to cover the features, wherever those come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from edgetl.calibration import sampling

from edgetl import pipeline
from edgetl.cache import Cache
from edgetl.pipeline import Artifact, Context, Stage
from edgetl.quantize.penultimate import penultimate
from edgetl.stages import calibrate
from tests.quantize import graphs

PICTURES = np.concatenate(list(graphs.pictures(40)))
LABELS = np.arange(40) % 4
FEATURES = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)


def calibrated(model: Path, cache: Path, **asked: Any) -> Artifact:
    """The stage after an export, a prepare and a features stage."""

    def export(inputs: object, out: Path, ctx: Context) -> dict[str, str]:
        (out / "model.onnx").write_bytes(model.read_bytes())
        return {}

    def prepare(inputs: object, out: Path, ctx: Context) -> dict[str, Any]:
        np.save(out / "train.npy", PICTURES)
        np.save(out / "train.labels.npy", LABELS)
        return {"preprocess": {}}

    def features(inputs: object, out: Path, ctx: Context) -> dict[str, str]:
        np.save(out / "train.npy", FEATURES)
        return {}

    stages = [
        Stage("export", 1, (), {}, {}, export),
        Stage("prepare", 1, (), {}, {}, prepare),
        Stage("features", 1, (), {}, {}, features),
        calibrate.stage(12, "minmax", 0, **asked),
    ]
    return pipeline.run(stages, Cache(cache), Context())["calibrate"]


def drawn(artifact: Artifact) -> list[int]:
    found: list[int] = json.loads((artifact.path / "calibration.json").read_bytes())["samples"]
    return found


def test_each_selection_takes_its_own_pictures(tmp_path: Path) -> None:
    model = graphs.write("residual", tmp_path)
    default = calibrated(model, tmp_path / "cache")
    assert drawn(default) == sampling.stratified(LABELS, 12, 0).tolist()
    covering = calibrated(model, tmp_path / "cache", select="coverage", with_features=True)
    assert drawn(covering) == sampling.coverage(FEATURES, 12).tolist()
    alone = calibrated(model, tmp_path / "cache", select="coverage")
    own = penultimate(model, (picture[None] for picture in PICTURES))
    assert drawn(alone) == sampling.coverage(own, 12).tolist()
    assert len({tuple(drawn(one)) for one in (default, covering, alone)}) == 3


def test_the_record_says_how_stable_the_ranges_are(tmp_path: Path) -> None:
    found = calibrated(graphs.write("residual", tmp_path), tmp_path / "cache").record
    assert found["samples"] == found["distinct"] == 12
    assert f"ranges stable to {100 * found['moves']:.1f} %" in found["summary"]
    assert found["worst"][0]["tensor"]
