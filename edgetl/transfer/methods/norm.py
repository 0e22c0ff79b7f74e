"""``--method norm``: scales and shifts of the norms, the biases and the head are trained; the rest is frozen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from edgetl.errors import InputError
from edgetl.transfer.backbone import Net
from edgetl.transfer.methods.full import Full, grouped
from edgetl.transfer.probe import Probe

__all__ = ["Norm"]

RATE = 2e-3
NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)


class Norm(Full):
    """Few numbers that reach every layer (BitFit, Ben Zaken et al. 2022, arXiv:2106.10199; Frankle et al. 2021).

    Parameters
    ----------
    rate : learning rate; ``None`` takes 2e-3. probe : what the head starts from.
    """

    def __init__(self, rate: float | None, probe: Probe) -> None:
        super().__init__(RATE if rate is None else rate)
        self._probe = probe

    def prepare(self, net: Net) -> list[dict[str, Any]]:
        """One group for the body's scales, shifts and biases, none of them decayed, and the head's.

        Raises
        ------
        InputError : the body has none.
        """
        self._probe.put(net)
        net.body.requires_grad_(False)
        chosen = list(_tuned(net.body))
        if not chosen:
            raise InputError(
                "--method norm trains norms and biases, and this network has neither",
                hint="--method feature, lora or discriminative",
            )
        for parameter in chosen:
            parameter.requires_grad_(True)
        return [*grouped(chosen, self._rate, decay=0.0), *grouped(net.head.parameters(), self._rate)]

    def start(self, net: Net, epoch: int) -> None:
        """The statistics of batch norm stay those of the weights."""
        net.train()
        net.body.eval()


def _tuned(body: nn.Module) -> Iterator[nn.Parameter]:
    """Weights of norms, and every bias."""
    for module in body.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if isinstance(module, NORMS) or (name.endswith("bias") and parameter.dim() == 1):
                yield parameter
