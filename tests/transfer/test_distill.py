"""What a student learns from a teacher: the losses, and the step that each method takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from edgetl.transfer.backbone import Net
from edgetl.transfer.methods.distill import Distill, Relational, angle_loss, distance_loss, divergence
from edgetl.transfer.taught import Taught

SEEDS = st.integers(0, 2**16)


def points(seed: int, rows: int = 6, width: int = 4) -> Tensor:
    """Embeddings (rows, width)."""
    drawn: npt.NDArray[np.float32] = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    return torch.from_numpy(drawn)


def rotation(seed: int, width: int = 4) -> Tensor:
    """An orthogonal matrix."""
    turned: Tensor = torch.linalg.qr(points(seed, width, width))[0]
    return turned


@pytest.mark.parametrize("loss", [distance_loss, angle_loss])
@given(seed=SEEDS, scale=st.floats(0.01, 100.0), shift=st.floats(-3.0, 3.0))
@settings(deadline=None, max_examples=40)
def test_relations_do_not_change_where_embeddings_are_turned_scaled_and_moved(
    loss: Any, seed: int, scale: float, shift: float
) -> None:
    student, teacher = points(seed), points(seed + 1, width=7)
    moved = scale * (student @ rotation(seed)) + scale * shift
    assert float(loss(moved, teacher)) == pytest.approx(float(loss(student, teacher)), abs=1e-3)
    assert float(loss(moved, student)) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("loss", [distance_loss, angle_loss])
@given(seed=SEEDS)
@settings(deadline=None, max_examples=20)
def test_other_relations_cost_and_a_step_down_the_gradient_brings_them_nearer(loss: Any, seed: int) -> None:
    student, teacher = points(seed).requires_grad_(), points(seed + 1)
    before = loss(student, teacher)
    before.backward()
    assert before.item() > 1e-3 and student.grad is not None
    after = loss(student.detach() - 1e-2 * student.grad / student.grad.norm(), teacher)
    assert after.item() < before.item()


def test_the_distance_loss_is_that_of_the_paper() -> None:
    student, teacher = points(1, rows=3), points(2, rows=3)

    def relative(x: Tensor) -> list[float]:
        found = [float((x[i] - x[j]).norm()) for i, j in ((0, 1), (0, 2), (1, 2))]
        return [one / (sum(found) / 3) for one in found]

    gaps = [abs(a - b) for a, b in zip(relative(student), relative(teacher))]
    huber = [gap - 0.5 if gap > 1 else 0.5 * gap * gap for gap in gaps]
    assert float(distance_loss(student, teacher)) == pytest.approx(2 * sum(huber) / 9, rel=1e-5)


def test_the_angle_loss_is_that_of_the_paper() -> None:
    student, teacher = points(1, rows=3), points(2, rows=3)

    def cosine(x: Tensor, i: int, j: int, k: int) -> float:
        return float(functional.cosine_similarity(x[i] - x[j], x[k] - x[j], dim=0))

    triplets = [(0, 1, 2), (1, 0, 2), (0, 2, 1)]
    gaps = [abs(cosine(student, *t) - cosine(teacher, *t)) for t in triplets]
    huber = [gap - 0.5 if gap > 1 else 0.5 * gap * gap for gap in gaps]
    assert float(angle_loss(student, teacher)) == pytest.approx(2 * sum(huber) / 27, rel=1e-5)


@pytest.mark.parametrize("loss", [distance_loss, angle_loss])
def test_equal_pictures_and_a_collapsed_batch_give_finite_gradients(loss: Any) -> None:
    for student in (points(3)[[0, 0, 1, 2, 2, 3]], torch.ones(6, 4)):
        student = student.clone().requires_grad_()
        loss(student, points(4)).backward()
        assert student.grad is not None and torch.isfinite(student.grad).all()


@given(seed=SEEDS, temperature=st.floats(0.5, 20.0))
@settings(deadline=None, max_examples=40)
def test_a_student_that_answers_as_its_teacher_is_left_alone(seed: int, temperature: float) -> None:
    logits = (3 * points(seed)).requires_grad_()
    loss = divergence(logits, logits.detach() + 1.5, temperature)  # softmax does not see a constant
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-4)
    assert logits.grad is not None and float(logits.grad.abs().max()) < 1e-4


def test_the_divergence_is_kullback_and_leiblers() -> None:
    student, teacher = points(1), points(2)
    p, q = torch.softmax(teacher / 3, 1), torch.softmax(student / 3, 1)
    wanted = 9 * (p * (p / q).log()).sum(1).mean()
    assert divergence(student, teacher, 3.0).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_the_temperature_does_not_change_the_weight_against_the_labels() -> None:
    """At high temperatures the gradient nears (z - v) / classes, whatever T is: Hinton et al. 2015, equation 4."""
    teacher, sizes = points(1) - points(1).mean(1, keepdim=True), []
    for temperature in (30.0, 300.0):
        student = torch.zeros(6, 4, requires_grad=True)
        divergence(student, teacher, temperature).backward()
        assert student.grad is not None
        sizes.append(student.grad * len(teacher) * 4)
    torch.testing.assert_close(sizes[0], -teacher, rtol=0.1, atol=0.02)
    torch.testing.assert_close(sizes[1], -teacher, rtol=0.01, atol=2e-3)


def student() -> Net:
    """Three numbers a picture to two classes."""
    torch.manual_seed(0)
    return Net(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4)), nn.Linear(4, 2))


def lesson(net: Net, pictures: Tensor) -> Taught:
    """A teacher that answers as the student does."""
    with torch.no_grad():
        features = net.body(pictures)
        return Taught(torch.tensor([0, 1, 0, 1]), net.head(features), features)


def test_distill_pulls_towards_the_teacher_and_towards_the_labels() -> None:
    net, pictures = student(), torch.rand(4, 3, 8, 8)
    same = lesson(net, pictures)
    hard = functional.cross_entropy(net(pictures), same.classes)
    alike = Distill(None).step(net, pictures, same)
    assert alike.item() == pytest.approx(0.1 * hard.item(), rel=1e-4)
    other = Taught(same.classes, -same.logits, same.features)
    assert Distill(None).step(net, pictures, other).item() > alike.item()


def test_relations_are_those_among_what_the_head_reads_and_come_beside_the_answers() -> None:
    net, pictures = student(), torch.rand(4, 3, 8, 8)
    same = lesson(net, pictures)
    answered = Distill(None).step(net, pictures, same)
    assert Relational(None).step(net, pictures, same).item() == pytest.approx(answered.item(), rel=1e-4)
    related = Taught(same.classes, same.logits, same.features.flip(0))
    assert Relational(None).step(net, pictures, related).item() > answered.item() + 0.1
    other = Taught(same.classes, -same.logits, same.features)
    wrong = Distill(None).step(net, pictures, other)
    assert Relational(None).step(net, pictures, other).item() == pytest.approx(wrong.item(), rel=1e-4)
