"""Teachers: they see the student's own augmented pictures, are never trained, and answer alike as a graph."""

from __future__ import annotations

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from edgetl import digest, export
from edgetl.quantize.penultimate import with_features
from edgetl.transfer import backbone, teacher
from edgetl.transfer.augment import Augmenter, Batches
from edgetl.transfer.fastpath import FastPath
from edgetl.transfer.policy import POLICIES, Augmentation, alike_at_any_size, policy_for
from edgetl.transfer.taught import Taught, TaughtBatches
from edgetl.types import BuildSpec, Preprocess
from tests.data.pictures import folders

SIDE = 32
OTHER = Preprocess(height=64, width=64, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


@pytest.fixture(scope="module")
def made() -> backbone.Backbone:
    """The tiny network with its weights, and a head for three classes."""
    return backbone.create(BuildSpec(data="", model="tiny", image_size=SIDE, seed=1), 3)


class Watching:
    """A teacher that remembers what it was shown, and answers the mean colour."""

    def __init__(self, preprocess: Preprocess) -> None:
        self.preprocess = preprocess
        self.shown: list[Tensor] = []

    def answers(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Twice the mean colour."""
        self.shown.append(pictures)
        return pictures.float().mean((2, 3)), pictures.float().mean((2, 3))


def batches(
    root: Path, preprocess: Preprocess, policy: Augmentation = POLICIES["default"], side: int = 96
) -> Batches:
    """Eight pictures in two batches."""
    folders(root, {"a": 4, "b": 4}, side=side)
    paths = [f"{name}/{index}.png" for name in "ab" for index in range(4)]
    augmenter = Augmenter(policy, preprocess, 3)
    return Batches(root, paths, [0] * 4 + [1] * 4, augmenter, batch_size=4, seed=0)


def taught_by(own: Batches, watching: Watching, policy: Augmentation) -> TaughtBatches:
    """The batches, answered by a teacher."""
    return TaughtBatches(own, watching, Augmenter(policy, watching.preprocess, 3))


@pytest.mark.parametrize("side", [96, 48], ids=["cut", "moved"])
@pytest.mark.parametrize(
    "policy",
    [
        POLICIES["default"],
        alike_at_any_size(POLICIES["strong"]),
        alike_at_any_size(policy_for(BuildSpec(data="", method="rkd"))),
    ],
    ids=["default", "strong", "mixed"],
)
def test_the_teacher_sees_the_same_augmented_picture_at_its_own_size(
    policy: Augmentation, side: int, tmp_path: Path, made: backbone.Backbone
) -> None:
    watching = Watching(OTHER)
    own_batches = batches(tmp_path / "p", made.preprocess, policy, side)
    for own, taught in taught_by(own_batches, watching, policy).epoch(3):
        theirs = watching.shown[-1]
        assert own.shape[2:] == (SIDE, SIDE) and theirs.shape[2:] == (64, 64)
        assert taught.logits.shape == (4, 3) and len(taught.classes) == 4
        for one, other in zip(own, theirs):
            large = other.permute(1, 2, 0).float().numpy()
            small = cv2.resize(large, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            assert np.abs(one.permute(1, 2, 0).float().numpy() - small).mean() < 12


def test_a_teacher_does_not_change_what_the_student_sees(tmp_path: Path, made: backbone.Backbone) -> None:
    plain = batches(tmp_path / "p", made.preprocess)
    alone = list(plain.epoch(1))
    taught = list(taught_by(plain, Watching(OTHER), POLICIES["default"]).epoch(1))
    for (pictures, classes), (same, lesson) in zip(alone, taught):
        torch.testing.assert_close(pictures, same, rtol=0, atol=0)
        assert torch.equal(classes, lesson.classes)


def test_asking_leaves_the_teacher_as_it_was(made: backbone.Backbone) -> None:
    net = copy.deepcopy(made.net).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    asked = teacher.NetTeacher(net, made.preprocess, FastPath())
    logits, features = asked.answers(torch.randint(0, 255, (4, 3, SIDE, SIDE), dtype=torch.uint8))
    assert not net.training and not any(p.requires_grad for p in net.parameters())
    assert not logits.requires_grad and features.shape == (4, net.head.in_features)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    weight = torch.zeros(4, 3, requires_grad=True)
    (weight * logits).sum().backward()  # answers of inference mode could not stand in a loss
    assert weight.grad is not None


@pytest.mark.parametrize("batch", [1, "dynamic"])
def test_the_graph_of_a_bundle_answers_as_the_network_does(
    tmp_path: Path, made: backbone.Backbone, batch: export.Batch
) -> None:
    net = copy.deepcopy(made.net).eval()
    export.export_classifier(net, made.preprocess, tmp_path / "model.fp32.onnx", batch=batch)
    with_features(tmp_path / "model.fp32.onnx", tmp_path / teacher.GRAPH)
    (tmp_path / teacher.PREPROCESS).write_bytes(digest.canonical_json(made.preprocess))
    graph = teacher.load(tmp_path, FastPath(), 1)
    assert isinstance(graph, teacher.GraphTeacher) and graph.preprocess == made.preprocess
    pictures = torch.randint(0, 255, (5, 3, SIDE, SIDE), dtype=torch.uint8)
    wanted = teacher.NetTeacher(net, made.preprocess, FastPath()).answers(pictures)
    for ours, theirs in zip(graph.answers(pictures), wanted):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_what_a_batch_is_to_be_moves_as_one() -> None:
    moved = Taught(torch.zeros(2), torch.ones(2, 3), torch.ones(2, 4)).to("meta")
    assert {one.device.type for one in (moved.classes, moved.logits, moved.features)} == {"meta"}
