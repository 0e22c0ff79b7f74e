"""Deep CORAL and DANN: their losses, what they add to a network and take away again, and a training that resumes."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor, nn

from edgetl import isolate
from edgetl.transfer import trainer as training
from edgetl.transfer.augment import Augmenter, Batches, normalise
from edgetl.transfer.backbone import Net
from edgetl.transfer.fastpath import FastPath
from edgetl.transfer.methods.align import Aligned, Alignment
from edgetl.transfer.methods.coral import Coral, coral_loss
from edgetl.transfer.methods.dann import DISCRIMINATOR, Dann, reverse_gradient, strength
from edgetl.transfer.methods.full import Full
from edgetl.transfer.policy import POLICIES
from edgetl.transfer.trainer import Trainer
from edgetl.types import Preprocess
from tests.data.pictures import folders

RULE = Preprocess(height=16, width=16, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
EPOCHS, SIZE = 4, 8
ALIGNMENTS = pytest.mark.parametrize("alignment", [Coral, Dann])

Features = arrays.arrays(
    np.float32, st.tuples(st.integers(2, 12), st.just(3)), elements=st.floats(-8, 8, width=16)
)


@settings(deadline=None)
@given(features=Features, shift=st.floats(-4, 4, width=16), sign=st.sampled_from((-1, 1)))
def test_coral_is_zero_for_equal_covariances(features: Any, shift: float, sign: int) -> None:
    source = torch.from_numpy(features)
    target = sign * source.flip(0) + shift
    torch.testing.assert_close(coral_loss(source, target), torch.tensor(0.0), atol=1e-3, rtol=0)


@settings(deadline=None)
@given(source=Features, target=Features)
def test_coral_is_symmetric_and_what_the_paper_says(source: Any, target: Any) -> None:
    a, b = torch.from_numpy(source), torch.from_numpy(target)
    apart = np.cov(source.astype(np.float64), rowvar=False) - np.cov(target.astype(np.float64), rowvar=False)
    wanted = float(np.square(apart).sum()) / (4 * 3**2)
    assert float(coral_loss(a, b)) == pytest.approx(wanted, rel=1e-3, abs=1e-3)
    torch.testing.assert_close(coral_loss(a, b), coral_loss(b, a))


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0])
def test_the_gradient_comes_back_reversed(factor: float) -> None:
    features = torch.randn(4, 3, requires_grad=True)
    weights = torch.arange(12.0).view(4, 3)
    out = reverse_gradient(features, factor)
    torch.testing.assert_close(out, features)
    (out * weights).sum().backward()
    torch.testing.assert_close(features.grad, -factor * weights)


def test_the_reversed_gradient_grows_as_the_paper_says() -> None:
    assert strength(0.0) == 0.0
    assert strength(0.5) == pytest.approx(2 / (1 + math.exp(-5)) - 1)
    assert strength(0.25) < strength(0.5) < strength(1.0) < 1


class Tiny(nn.Module):
    """A body with a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Features (N, 6)."""
        features: Tensor = self.layers(pictures)
        return features


class Frozen(Full):
    """A base that trains the head alone."""

    def prepare(self, net: Net) -> list[dict[str, Any]]:
        """The head's parameters."""
        net.body.requires_grad_(False)
        return [{"params": list(net.head.parameters()), "lr": 1e-2}]

    def start(self, net: Net, epoch: int) -> None:
        """The body answers as when deployed."""
        net.train()
        net.body.eval()


def net() -> Net:
    """An untrained network of two classes."""
    torch.manual_seed(0)
    return Net(Tiny(), nn.Linear(6, 2))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled pictures."""
    return folders(tmp_path_factory.mktemp("source"), {"ants": 12, "bees": 12})


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Others."""
    return folders(tmp_path_factory.mktemp("target"), {"frames": 20}, seed=5000)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def batches(root: Path) -> Batches:
    """Of all pictures of a folder, in two classes."""
    paths = sorted(p.relative_to(root).as_posix() for p in root.rglob("*.png"))
    labels = [int(p.startswith("bees")) for p in paths]
    augmenter = Augmenter(POLICIES["default"], RULE, 2)
    return Batches(root, paths, labels, augmenter, batch_size=SIZE, seed=0)


def trainer(source: Path, target: Path, state: Path, alignment: Alignment, base: Full) -> Trainer:
    """A training of a few small epochs."""
    labelled = batches(source)
    held = (np.zeros((2, 16, 16, 3), np.uint8), np.array([0, 1]))

    def place(pictures: Tensor) -> Tensor:
        return normalise(pictures, RULE)

    method = Aligned(base, alignment, batches(target), place, epochs=EPOCHS, steps=len(labelled))
    return Trainer(
        net(), method, labelled, held, RULE, FastPath(), epochs=EPOCHS, seed=0, state=state, keep_last=True
    )


@ALIGNMENTS
def test_the_network_is_plain_again(
    source: Path, target: Path, tmp_path: Path, alignment: type[Coral] | type[Dann]
) -> None:
    trained, done = trainer(source, target, tmp_path, alignment(), Full(None)).train()
    assert trained.state_dict().keys() == net().state_dict().keys()
    assert not trained.head._forward_pre_hooks
    assert done.epoch == done.best_epoch == EPOCHS, "the last epoch is kept, whatever the source says of it"


def test_the_discriminator_is_trained_with_the_network_and_saved_with_it(
    source: Path, target: Path, tmp_path: Path
) -> None:
    begun = trainer(source, target, tmp_path, Dann(), Full(None))
    first = copy.deepcopy(begun._net.get_submodule(DISCRIMINATOR).state_dict())
    begun.train()
    kept = torch.load(tmp_path / training.STATE, weights_only=True)["net"]
    assert all(not torch.equal(kept[f"{DISCRIMINATOR}.{name}"], value) for name, value in first.items())


@ALIGNMENTS
def test_a_frozen_body_stays_frozen(
    source: Path, target: Path, tmp_path: Path, alignment: type[Coral] | type[Dann]
) -> None:
    trained, _ = trainer(source, target, tmp_path, alignment(), Frozen(None)).train()
    for name, value in net().body.state_dict().items():
        assert torch.equal(trained.body.state_dict()[name], value), name
    assert not torch.equal(trained.head.weight, net().head.weight)


@ALIGNMENTS
def test_the_target_moves_the_body(
    source: Path, target: Path, tmp_path: Path, alignment: type[Coral] | type[Dann]
) -> None:
    weighed, _ = trainer(source, target, tmp_path / "with", alignment(weight=50.0), Full(None)).train()
    plain, _ = trainer(source, target, tmp_path / "without", alignment(weight=0.0), Full(None)).train()
    name = "layers.0.weight"
    assert not torch.allclose(weighed.body.state_dict()[name], plain.body.state_dict()[name])


def test_a_training_that_was_killed_in_the_middle_comes_to_the_same_network(
    source: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = trainer(source, target, tmp_path / "whole", Dann(), Full(None)).train()

    def dies(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(isolate, "tick", dies)
        with pytest.raises(KeyboardInterrupt):
            trainer(source, target, tmp_path / "killed", Dann(), Full(None)).train()
    resumed, done = trainer(source, target, tmp_path / "killed", Dann(), Full(None)).train()
    assert len(done.history) == EPOCHS
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
