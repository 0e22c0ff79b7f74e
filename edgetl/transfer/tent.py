"""TENT: scale and shift of the normalisations are moved until the network is sure of its answers on target frames.

Wang et al. 2021 (arXiv:2006.10726), section 3. Source-free: it reads a trained network and frames without labels, no
picture that the network was trained on. Theirs adapts while it serves; here it is done once, before the export.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from edgetl.errors import GateFailed
from edgetl.transfer import adabn

__all__ = ["PASSES", "entropy", "sharpen"]

PASSES = 3
"""Times that every frame is seen."""
RATE = 1e-3
"""Of Adam, as theirs."""


def entropy(logits: Tensor) -> Tensor:
    """Mean Shannon entropy, in nats, of the distributions that logits (N, classes) stand for.

    >>> round(float(entropy(torch.zeros(1, 4))), 4)
    1.3863
    """
    logs = functional.log_softmax(logits, dim=1)
    return -(logs.exp() * logs).sum(dim=1).mean()


def sharpen(
    net: nn.Module,
    batches: Iterable[Tensor],
    layers: Sequence[_BatchNorm],
    on_batch: Callable[[], Any] = lambda: None,
) -> list[float]:
    """Move scale and shift of ``layers``, in place, one step a batch; the entropy of each batch before its step.

    Statistics are those of each batch, and ``adabn.estimate`` should take them over all frames afterwards.

    Raises
    ------
    GateFailed : the entropy is not finite.
    """
    wanted = [p for layer in layers for p in (layer.weight, layer.bias) if p is not None]
    trained = {p: p.requires_grad for p in net.parameters()}
    net.requires_grad_(False)
    for parameter in wanted:
        parameter.requires_grad_(True)
    optimizer = torch.optim.Adam(wanted, lr=RATE)
    told = []
    with adabn.normalising_by_batch(net, layers):
        for batch in batches:
            loss = entropy(net(batch))
            if not torch.isfinite(loss):
                raise GateFailed(
                    "the network answers NaN or infinity on target frames", hint="--adapt-method adabn"
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            told.append(float(loss.detach()))
            on_batch()
    for parameter, before in trained.items():
        parameter.requires_grad_(before)
    return told
