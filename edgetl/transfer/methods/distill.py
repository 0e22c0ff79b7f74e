"""``--method distill`` and ``rkd``: the student learns what a teacher answers, and how its embeddings lie."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from edgetl.transfer.backbone import Net
from edgetl.transfer.methods.full import BODY_SHARE, Full
from edgetl.transfer.methods.losses import cross_entropy
from edgetl.transfer.taught import Taught

__all__ = ["TEMPERATURE", "Distill", "Relational", "angle_loss", "distance_loss", "divergence"]

TEMPERATURE = 4.0
SOFT_SHARE = 0.9
"""Share of the teacher's answers in the loss; the rest is cross-entropy on the labels."""
DISTANCE_WEIGHT = 1.0
ANGLE_WEIGHT = 2.0
"""1 to 2 as in Park et al. 2019, beside cross-entropy of weight 1.

Tian et al. 2020 (arXiv:1910.10699) take 25 to 50, for 500 labelled pictures a class and a longer training; where there
are few labels that drowns them.
"""


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """How far the student's softened answers are from the teacher's: ``T^2 KL(teacher || student)``.

    Hinton, Vinyals & Dean 2015 (arXiv:1503.02531), section 2: gradients of softened answers shrink with ``1 / T^2``,
    and the factor takes that back, so that its weight against cross-entropy does not hang on the temperature.

    Parameters
    ----------
    student, teacher : logits (N, classes); the teacher's are constants.
    temperature : above 0; 1 leaves the answers as they are.

    Returns
    -------
    A scalar, the mean over pictures; 0, with a gradient of 0, where both answer alike.
    """
    said = functional.log_softmax(student.float() / temperature, dim=1)
    wanted = functional.log_softmax(teacher.float() / temperature, dim=1)
    return functional.kl_div(said, wanted, reduction="batchmean", log_target=True) * temperature**2


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """RKD-D: distances between pictures, in units of their mean, held against the teacher's by Huber's loss.

    Park, Kim, Lu & Cho 2019 (arXiv:1904.05068), equations 4 to 6.

    Parameters
    ----------
    student, teacher : embeddings (N, D) and (N, E), N from 2 on; no rotation and no scale of either changes the loss.
    """
    return functional.smooth_l1_loss(_distances(student.float()), _distances(teacher.float()))


def angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """RKD-A: the cosine of every angle that three pictures make, held against the teacher's by Huber's loss.

    Park, Kim, Lu & Cho 2019, equations 7 to 9. Memory grows with N^3: 8 MB for 128 pictures.

    Parameters
    ----------
    student, teacher : embeddings (N, D) and (N, E), N from 3 on.
    """
    with torch.autocast(
        student.device.type, enabled=False
    ):  # cosines of nearly parallel edges need their digits
        return functional.smooth_l1_loss(_cosines(student.float()), _cosines(teacher.float()))


def _distances(points: Tensor) -> Tensor:
    """Distances (N, N) over their mean; pairs of equal points have none, and no gradient."""
    squared = (points[:, None] - points[None]).square().sum(dim=2)
    apart = squared > 0
    distances = torch.where(apart, torch.where(apart, squared, 1.0).sqrt(), 0.0)
    return distances / (distances.sum() / apart.sum().clamp(min=1)).clamp(min=_TINY)


def _cosines(points: Tensor) -> Tensor:
    """``[j, i, k]`` is the cosine at point j between the edges to i and to k, (N, N, N)."""
    edges = functional.normalize(points[None] - points[:, None], dim=2)
    return edges @ edges.transpose(1, 2)


_TINY = torch.finfo(torch.float32).tiny


class Distill(Full):
    """Cross-entropy on the labels and the divergence from a teacher's softened answers.

    Parameters
    ----------
    rate : learning rate of the head; ``None`` takes that of ``full``.
    body_share : the body's rate as a share of it. temperature : of the answers.
    """

    def __init__(
        self, rate: float | None, body_share: float = BODY_SHARE, temperature: float = TEMPERATURE
    ) -> None:
        super().__init__(rate, body_share)
        self._temperature = temperature

    def step(self, net: Net, pictures: Tensor, targets: Taught) -> Tensor:  # type: ignore[override]
        """Labels and answers."""
        return self._answered(net(pictures), targets)

    def _answered(self, logits: Tensor, targets: Taught) -> Tensor:
        """No label smoothing: the teacher's answers say better which classes are near (Mueller et al. 2019)."""
        hard = cross_entropy(logits, targets.classes, self.weights, counted=self.counted)
        return (1 - SOFT_SHARE) * hard + SOFT_SHARE * divergence(logits, targets.logits, self._temperature)


class Relational(Distill):
    """As ``Distill``, and the relations among a teacher's embeddings are carried over too.

    Park et al. 2019, section 4.2: both together come further than either.
    """

    def step(self, net: Net, pictures: Tensor, targets: Taught) -> Tensor:  # type: ignore[override]
        """The student's embeddings are what its head reads; the teacher's may have another width."""
        embeddings = net.body(pictures)
        relations = DISTANCE_WEIGHT * distance_loss(embeddings, targets.features)
        relations = relations + ANGLE_WEIGHT * angle_loss(embeddings, targets.features)
        return self._answered(net.head(embeddings), targets) + relations
