"""Deep CORAL: features of both domains get the same covariance."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from edgetl.transfer.backbone import Net

__all__ = ["Coral", "coral_loss"]

WEIGHT = 1.0


def coral_loss(source: Tensor, target: Tensor) -> Tensor:
    """Squared Frobenius distance of the covariances of features (N, D) and (M, D), over 4 D^2.

    Sun and Saenko 2016 (arXiv:1607.01719), equations 1 to 3.
    """
    apart = _covariance(source.float()) - _covariance(target.float())
    return apart.square().sum() / (4 * source.shape[1] ** 2)


def _covariance(features: Tensor) -> Tensor:
    centred = features - features.mean(dim=0)
    return centred.T @ centred / (len(features) - 1)


class Coral:
    """The CORAL loss; nothing is added to the network.

    Parameters
    ----------
    weight : of the loss beside that of the base.
    """

    def __init__(self, weight: float = WEIGHT) -> None:
        self._weight = weight

    def attach(self, net: Net, rate: float) -> list[dict[str, Any]]:
        """Nothing."""
        return []

    def loss(self, net: Net, source: Tensor, target: Tensor, progress: float) -> Tensor:
        """Weighted."""
        return self._weight * coral_loss(source, target)

    def detach(self, net: Net) -> None:
        """Nothing was added."""
