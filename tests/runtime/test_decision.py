"""A bundle's threshold decides what its predictor answers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetl.errors import BundleError, GateFailed
from edgetl.runtime import bundle, load, open_bundle
from edgetl.runtime.prediction import Decision, of_logits
from edgetl.types import OperatingPoint
from edgetl.verify import decision, operating
from tests.handmade import reseal
from tests.runtime.sealed import Kind, make

POINT = OperatingPoint(positive="ill", threshold=0.2, objective="recall@0.95", images=10, positives=4)


@given(st.floats(-60, 60, width=32), st.floats(-60, 60, width=32), st.integers(0, 1), st.floats(0.001, 1.0))
def test_the_positive_class_is_answered_from_the_threshold_on(
    one: float, other: float, positive: int, threshold: float
) -> None:
    logits, labels = np.array([one, other], np.float32), ("first", "second")
    found = of_logits(logits, labels, 2, Decision(positive, threshold))
    margin = float(logits[positive]) - float(logits[1 - positive])
    chance = 1 / (1 + math.exp(-margin))
    if abs(chance - threshold) > 1e-9:
        assert (found.label == labels[positive]) == (chance > threshold)
    answered = chance if found.label == labels[positive] else 1 - chance
    assert found.probability == pytest.approx(answered, abs=1e-12)
    assert found.top_k == of_logits(logits, labels, 2).top_k, "the ranking stays that of the probabilities"


def write(
    folder: Path, point: OperatingPoint | None, labels: tuple[str, ...] = ("well", "ill", "none")
) -> Path:
    make(folder, Kind(labels=labels))
    change(folder, point)
    return folder


def change(folder: Path, point: OperatingPoint | None) -> None:
    """Put another threshold into a bundle, whose manifest is true again."""
    stored = msgspec.json.decode((folder / "manifest.json").read_bytes(), type=bundle.Manifest)
    (folder / "manifest.json").unlink()
    bundle.seal(folder, msgspec.structs.replace(stored, operating_point=point, files={}, sha256=""))


def test_a_threshold_that_is_moved_in_the_manifest_is_refused_by_its_digest(tmp_path: Path) -> None:
    folder = write(tmp_path / "made", POINT)
    assert open_bundle(reseal(folder)).manifest.operating_point == POINT
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["operating_point"]["threshold"] = 0.9
    (folder / "manifest.json").write_text(json.dumps(manifest, sort_keys=True, separators=(",", ":")) + "\n")
    with pytest.raises(BundleError, match=r"manifest\.json"):
        open_bundle(folder)


@pytest.mark.parametrize(
    "point",
    [
        POINT,  # three classes
        msgspec.structs.replace(POINT, positive="sick"),
        msgspec.structs.replace(POINT, threshold=0.0),
        msgspec.structs.replace(POINT, threshold=1.5),
    ],
)
def test_a_threshold_that_does_not_fit_the_classes_is_refused(point: OperatingPoint, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="threshold"):
        load(write(tmp_path / "made", point))


def stand_in(threshold: float, before: dict[str, Any]) -> Any:
    """Of a bundle what a verification reads."""
    point = msgspec.structs.replace(POINT, threshold=threshold)
    return SimpleNamespace(
        manifest=SimpleNamespace(operating_point=point), labels=("ill", "well"), results={"accuracy": before}
    )


def test_verify_notices_a_threshold_that_was_moved_and_sealed_again() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    margin = rng.normal(0, 1, 60) + 2 * (labels == 0)
    logits = np.stack([margin, np.zeros(60)], axis=1).astype(np.float32)
    at_build = operating.held_against(labels, logits, logits, 0, 0.5)
    before = {"at_threshold": msgspec.to_builtins(at_build)}
    kept = decision.measured(stand_in(0.5, before), labels, logits, logits, True)
    assert kept.failure is None
    assert any("threshold" in line for line in kept.lines)
    for moved, what in ((0.97, "recall"), (0.01, "specificity")):
        found = decision.measured(stand_in(moved, before), labels, logits, logits, True)
        assert isinstance(found.failure, GateFailed)
        assert found.failure.problem.startswith(f"{what} at the threshold is")
