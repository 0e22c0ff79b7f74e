"""Weights make classes count alike, and training follows them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgetl.data.imbalance import decide
from edgetl.transfer.augment import Augmenter, Batches
from edgetl.transfer.backbone import Net
from edgetl.transfer.methods.feature import fit_head
from edgetl.transfer.methods.full import Full
from edgetl.transfer.policy import POLICIES
from edgetl.types import Preprocess
from tests.data.pictures import folders

RULE = Preprocess(height=16, width=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@given(st.lists(st.integers(1, 500), min_size=2, max_size=8))
def test_all_classes_weigh_the_same_together_and_a_picture_weighs_one_on_average(counts: list[int]) -> None:
    weights = decide("weights", counts).weights
    together = [weight * count for weight, count in zip(weights, counts)]
    assert together == pytest.approx([together[0]] * len(counts))
    assert sum(together) == pytest.approx(sum(counts))


def test_auto_weighs_from_three_to_one_on_and_says_so() -> None:
    assert decide("auto", [29, 10]).way == "none"
    found = decide("auto", [30, 10])
    assert found.way == "weights"
    assert "--imbalance none" in found.notes()[0]
    assert decide("weights", [30, 10]).notes() == [], "who asked for it knows"


def test_a_weighted_head_finds_more_of_the_rare_class() -> None:
    rng = np.random.default_rng(0)
    labels = (np.arange(400) % 20 == 0).astype(np.int64)
    features = rng.normal(0, 1, (400, 6)) + 0.9 * labels[:, None]
    plain = features.astype(np.float32)
    weights = decide("weights", np.bincount(labels).tolist()).weights

    def recall(head: object) -> float:
        answers = (plain @ head.weight.T + head.bias).argmax(axis=1)  # type: ignore[attr-defined]
        return float((answers[labels == 1] == 1).mean())

    assert (
        recall(fit_head(plain, labels, 2, 0, weights=weights)) > recall(fit_head(plain, labels, 2, 0)) + 0.2
    )


def test_a_weighted_loss_is_that_of_repeated_pictures() -> None:
    net = Net(torch.nn.Flatten(), torch.nn.Linear(3, 2))
    pictures, targets = torch.randn(4, 3, 1, 1), torch.tensor([0, 0, 0, 1])
    method = Full(None)
    method.weights = torch.tensor([1.0, 3.0])
    weighted = method.step(net, pictures, targets)
    rows = torch.tensor([0, 1, 2, 3, 3, 3])
    assert weighted.item() == pytest.approx(
        Full(None).step(net, pictures[rows], targets[rows]).item(), rel=1e-5
    )
    shares = torch.nn.functional.one_hot(targets).float()
    soft = method.step(net, pictures, shares)
    assert soft.item() == pytest.approx(weighted.item(), rel=1e-5)


def test_balanced_sampling_shows_all_classes_alike(tmp_path: Path) -> None:
    root = folders(tmp_path, {"a": 40, "b": 8})
    paths = [f"{name}/{n}.png" for name, count in (("a", 40), ("b", 8)) for n in range(count)]
    labels = [0] * 40 + [1] * 8
    odds = decide("sampling", [40, 8]).weights

    def shown(odds: tuple[float, ...]) -> Counter[int]:
        augmenter = Augmenter(POLICIES["none"], RULE, 2)
        batches = Batches(root, paths, labels, augmenter, batch_size=16, seed=0, odds=odds)
        return Counter(int(label) for n in range(6) for _, of in batches.epoch(n) for label in of)

    assert shown(())[1] == pytest.approx(6 * 8, abs=1)
    assert shown(odds)[1] == pytest.approx(6 * 24, rel=0.2)
    assert shown(odds) == shown(odds)
