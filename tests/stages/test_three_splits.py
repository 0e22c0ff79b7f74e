"""Train learns, select decides, test is looked at once: what is chosen stands whatever the test images are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from edgetl import digest
from edgetl.data.layout import scan
from edgetl.devices import Budgets
from edgetl.pipeline import Artifact, Context
from edgetl.stages import prepare, request, select, train, verify
from edgetl.types import BuildSpec, Role
from tests.data.pictures import folders

CLASSES = ["ill", "well"]
CANDIDATES = ("f32", "int8")


def logits(rng: np.random.Generator, labels: np.ndarray, shift: float) -> np.ndarray:
    margin = rng.normal(0, 1, len(labels)) + 2 * (labels == 0) + shift
    return np.stack([margin, np.zeros_like(margin)], axis=1).astype(np.float32)


def artifacts(home: Path, test_shift: float = 0.0) -> dict[str, Artifact]:
    """What the stages before ``select`` leave; ``test_shift`` moves what engines answer to the test images alone."""
    rng = np.random.default_rng(0)
    dataset = scan(folders(home / "pictures", {"ill": 20, "well": 40}), seed=0)
    found = {}
    for name in ("check", "prepare", *(f"verify:{name}" for name in CANDIDATES)):
        (home / name).mkdir()
        found[name] = Artifact(home / name, {"classes": CLASSES}, "0")
    (home / "check/dataset.json").write_bytes(digest.canonical_json(dataset))
    for role in ("train", "select", "test"):
        labels = np.array([s.label for s in dataset.samples if s.role == role])
        np.save(home / f"prepare/{role}.labels.npy", labels)
        for name in CANDIDATES:
            shift = test_shift if role == "test" else 0.0
            np.save(home / f"verify:{name}/{role}.npy", logits(rng, labels, shift))
    return found


def selected(found: dict[str, Artifact], optimize: str = "recall@0.9", positive: str | None = None) -> Any:
    stage = select.stage(
        CANDIDATES,
        "check",
        max_drop=100.0,
        budgets=Budgets(),
        precision="int8",
        timed=False,
        optimize=optimize,
        positive=positive,
    )
    return stage.run(found, Path(), Context())


def test_the_threshold_is_chosen_on_what_ships_and_not_on_the_test_images(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    one = selected(artifacts(tmp_path / "one"))
    other = selected(artifacts(tmp_path / "other", test_shift=3.0))
    assert one["operating_point"] == other["operating_point"]
    assert one["operating_point"]["positive"] == "ill", "the rarer class, by default"
    assert "'ill'" in one["notes"][0]
    assert one["accuracy"]["at_threshold"] != other["accuracy"]["at_threshold"], (
        "the report is on the test images"
    )


def test_a_choice_on_the_test_images_would_be_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge above, with a threshold that peeks."""
    honest = verify.logits

    def peeking(verified: Artifact, role: Role) -> Any:
        return honest(verified, "test" if role == "select" else role)

    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(verify, "logits", peeking)
    points = []
    for name, shift in (("one", 0.0), ("other", 3.0)):
        points.append(selected(artifacts(tmp_path / name, shift), positive="well")["operating_point"])
    assert points[0] != points[1]


def made(home: Path, root: Path) -> dict[str, Artifact]:
    """Artifacts in front of a training, where asking for the test role is an error."""
    dataset = scan(root, seed=0)
    found: dict[str, Artifact] = {}
    rule = {"height": 32, "width": 32, "mean": [0.5] * 3, "std": [0.5] * 3}
    records: dict[str, dict[str, Any]] = {
        "check": {"classes": list(dataset.classes)},
        "backbone": {"preprocess": rule, "normalisation": "by hand"},
        "prepare": {},
        "features": {},
        "fastpath": {"choice": {"device": "cpu", "autocast": "float32", "channels_last": False}},
    }
    for name, record in records.items():
        (home / name).mkdir()
        found[name] = Artifact(home / name, record, "0")
    (home / "check/dataset.json").write_bytes(digest.canonical_json(dataset))
    rng = np.random.default_rng(0)
    for role in ("train", "select"):
        labels = np.array([s.label for s in dataset.samples if s.role == role])
        np.save(home / f"prepare/{role}.labels.npy", labels)
        np.save(home / f"prepare/{role}.npy", rng.integers(0, 255, (len(labels), 32, 32, 3), dtype=np.uint8))
        np.save(home / f"features/{role}.npy", rng.normal(0, 1, (len(labels), 8)).astype(np.float32))
    for sample in dataset.samples:
        if sample.role == "test":
            (root / sample.path).unlink()
    return found


SPEC = BuildSpec(data="", model="tiny", weights="none", image_size=32, epochs=1, batch_size=8)


def test_the_feature_method_reads_no_test_image(tmp_path: Path) -> None:
    from edgetl.transfer.tiny import Tiny

    width = next(m for m in reversed(list(Tiny().modules())) if isinstance(m, torch.nn.Linear)).in_features
    found = made(tmp_path, folders(tmp_path / "pictures", {"a": 12, "b": 12}))
    for role in ("train", "select"):
        count = len(prepare.labels(found["prepare"], role))
        np.save(
            tmp_path / f"features/{role}.npy",
            np.random.default_rng(0).normal(0, 1, (count, width)).astype("f4"),
        )
    (tmp_path / "out").mkdir()
    record = train.feature_stage(SPEC).run(found, tmp_path / "out", Context())
    assert record["select_accuracy"] is not None


@pytest.fixture
def settled() -> Iterator[None]:
    """What a training sets for its whole process is set back."""
    threads = torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("way", ["weights", "sampling"])
def test_the_full_method_reads_no_test_image(way: str, tmp_path: Path) -> None:
    from edgetl.transfer import checkpoint, trainer

    root = folders(tmp_path / "pictures", {"a": 30, "b": 8})
    found = made(tmp_path, root)
    (tmp_path / "out").mkdir()
    np.save(tmp_path / "out/samples.npy", np.zeros((1, 32, 32, 3), np.uint8))
    augment = "strong" if way == "weights" else "none"  # shares of classes are weighted, too
    spec = msgspec.structs.replace(SPEC, method="full", imbalance=way, augment=augment)
    record = train._record(spec, found, "full")
    told = trainer.run_json(
        msgspec.to_builtins(spec),
        msgspec.to_builtins(record),
        found["fastpath"].record["choice"],
        str(tmp_path / "check/dataset.json"),
        str(root),
        str(tmp_path / "prepare"),
        {},
        str(tmp_path / "out"),
        str(tmp_path / "state"),
        1,
    )
    assert told["epochs"] == 1
    assert checkpoint.load(tmp_path / "out")[1].classes == ("a", "b")


@pytest.mark.parametrize(
    ("options", "classes", "words"),
    [
        ({"optimize": "recall@0.9"}, ["a", "b", "c"], "between two classes, the data has 3"),
        ({"optimize": "f1", "positive": "malignent"}, ["benign", "malignant"], "Did you mean 'malignant'?"),
        ({"positive": "a"}, ["a", "b"], "names the class that --optimize is about"),
        ({"augment": "storng", "method": "full"}, ["a", "b"], "Did you mean 'strong'?"),
        ({"augment": "strong"}, ["a", "b"], "--method feature reads each picture once"),
        ({"optimize": "f1", "adapt": "city"}, ["a", "b"], "--adapt has none of the place"),
        ({"imbalance": "weight"}, ["a", "b"], "Did you mean 'weights'?"),
        ({"imbalance": "sampling"}, ["a", "b"], "--method feature takes no steps"),
    ],
)
def test_what_does_not_fit_is_refused_before_work(
    options: dict[str, str], classes: list[str], words: str
) -> None:
    from edgetl.errors import InputError

    spec = BuildSpec(data="", **options)  # type: ignore[arg-type]

    def refused() -> None:
        request.check(spec)
        request.check_classes(spec, classes)

    with pytest.raises(InputError) as caught:
        refused()
    assert words in caught.value.problem
