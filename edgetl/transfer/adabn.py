"""AdaBN: the statistics of batch normalisation are taken again on the frames of the place that an engine is for.

Li et al. 2016 (arXiv:1603.04779), algorithm 1: in each channel of each normalisation, mean and variance over all
target samples take the place of the source's. Weights stay, and no label is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from edgetl.errors import InputError
from edgetl.transfer.augment import normalise
from edgetl.types import Preprocess

__all__ = ["BATCH", "batch_count", "batches_of", "estimate", "has_norms", "normalising_by_batch", "norms"]

BATCH = 64
"""Layers above a normalisation see its output by the batch's own statistics: a batch should look like all frames."""


class _Moments:
    """Mean and sum of squared deviations of one normalisation's input, by channel, merged batch by batch.

    Exact over all frames (Chan et al. 1983, "Algorithms for computing the sample variance", equation 2.1), where an
    average of the batches' variances would miss what lies between them.
    """

    def __init__(self, layer: _BatchNorm) -> None:
        self._layer = layer
        self._count = 0
        self._mean = torch.zeros(layer.num_features, dtype=torch.float64)
        self._squares = torch.zeros(layer.num_features, dtype=torch.float64)

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """See a batch (N, C, ...)."""
        seen = inputs[0].detach()
        others = [axis for axis in range(seen.dim()) if axis != 1]
        variance, mean = (part.double().cpu() for part in torch.var_mean(seen.float(), others, correction=0))
        count = seen.numel() // seen.shape[1]
        total = self._count + count
        apart = mean - self._mean
        self._squares += variance * count + apart.square() * self._count * count / total
        self._mean += apart * count / total
        self._count = total

    def settle(self) -> None:
        """Put what was seen where the network answers by it; a layer that was never reached keeps what it had."""
        if self._count < 2:
            return
        mean, variance = self._layer.running_mean, self._layer.running_var
        assert mean is not None and variance is not None
        mean.copy_(self._mean)
        variance.copy_(self._squares / (self._count - 1))  # unbiased, as torch keeps it


def has_norms(net: nn.Module) -> bool:
    """Whether there is a batch normalisation that answers by statistics of its own."""
    return bool(_norms(net))


def _norms(net: nn.Module) -> list[_BatchNorm]:
    return [m for m in net.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]


def norms(net: nn.Module, model: str) -> list[_BatchNorm]:
    """The batch normalisations of a network that answer by statistics of their own.

    Raises
    ------
    InputError : there is none.
    """
    found = _norms(net)
    if not found:
        kinds = sorted(
            {type(m).__name__ for m in net.modules() if type(m).__name__.rstrip("123d").endswith("Norm")}
        )
        has = f"it has {', '.join(kinds)}, which keep" if kinds else "it has no normalisation that keeps"
        raise InputError(
            f"{model} has no batch normalisation: {has} no statistics that could be taken on target frames",
            hint="--adapt-method coral or dann fits it; or a model with BatchNorm, such as mobilenet_v2 or resnet18",
        )
    return found


def batch_count(frames: int) -> int:
    """Batches that so many frames make."""
    return -(-frames // BATCH)


def batches_of(frames: npt.NDArray[np.uint8], preprocess: Preprocess, *, seed: int) -> Iterator[Tensor]:
    """All frames once, mixed, in batches of about ``BATCH`` and of equal size: normalised float32 (N, 3, H, W).

    Parameters
    ----------
    frames : uint8 (N, H, W, 3), at least two.
    """
    order = np.random.default_rng(seed).permutation(len(frames))
    for rows in np.array_split(order, batch_count(len(frames))):
        part = torch.from_numpy(np.array(frames[np.sort(rows)])).permute(0, 3, 1, 2)
        yield normalise(part, preprocess)


@contextmanager
def normalising_by_batch(net: nn.Module, layers: Sequence[_BatchNorm]) -> Iterator[None]:
    """Inside, ``layers`` normalise by the batch at hand, and all else answers as when deployed."""
    before = [layer.momentum for layer in layers]
    net.eval()
    for layer in layers:
        layer.train()
        layer.momentum = 0.0  # what is kept stays as it is until all was seen
    try:
        yield
    finally:
        for layer, momentum in zip(layers, before):
            layer.momentum = momentum
        net.eval()


@torch.no_grad()
def estimate(
    net: nn.Module,
    batches: Iterable[Tensor],
    layers: Sequence[_BatchNorm],
    on_batch: Callable[[], Any] = lambda: None,
) -> None:
    """Take the statistics of ``layers`` anew, in place, over all of ``batches``: normalised pictures (N, 3, H, W)."""
    moments = [_Moments(layer) for layer in layers]
    hooks = [layer.register_forward_pre_hook(seen) for layer, seen in zip(layers, moments)]
    try:
        with normalising_by_batch(net, layers):
            for batch in batches:
                net(batch)
                on_batch()
    finally:
        for hook in hooks:
            hook.remove()
    for seen in moments:
        seen.settle()
