"""``--method lora``: each layer's weights are left alone and a low-rank update beside them is trained."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from edgetl.errors import GateFailed, InputError
from edgetl.transfer.backbone import Net
from edgetl.transfer.depth import entered
from edgetl.transfer.methods.full import Full, grouped
from edgetl.transfer.probe import Probe
from edgetl.words import counted

__all__ = ["RANK", "Lora", "fits"]

RATE = 2e-3
RANK = 8
TOLERANCE = 1e-3
"""Of the largest logit: adding the same numbers in another order moves it less, a layer merged wrongly more."""


class Lora(Full):
    """Low-rank adaptation of linear and convolution layers (Hu et al. 2021, arXiv:2106.09685), by the peft library.

    Parameters
    ----------
    rate : learning rate; ``None`` takes 2e-3. rank : of the updates.
    size : side of the pictures, in pixels. probe : what the head starts from.
    """

    def __init__(
        self,
        rate: float | None,
        rank: int,
        size: int,
        probe: Probe,
    ) -> None:
        super().__init__(RATE if rate is None else rate)
        self._rank = rank
        self._size = size
        self._probe = probe

    def prepare(self, net: Net) -> list[dict[str, Any]]:
        """One group for the updates and one for the head; the body itself is frozen.

        Raises
        ------
        InputError : the body has no layer that takes an update.
        """
        self._probe.put(net)
        targets, left_out = fits(net.body, self._size)
        if not targets:
            raise InputError(
                "--method lora adapts linear layers and convolutions without groups, and this network has "
                f"none ({counted(left_out, 'other layer')} with weights)",
                hint="--method norm, discriminative or feature",
            )
        net.body = _adapted(net.body, targets, self._rank)
        updates = [p for p in net.body.parameters() if p.requires_grad]
        self.notes = (_told(net, updates, len(targets), left_out, self._rank),)
        return [*grouped(updates, self._rate, decay=0.0), *grouped(net.head.parameters(), self._rate)]

    def start(self, net: Net, epoch: int) -> None:
        """The frozen body answers as it will in the engine."""
        net.train()
        net.body.eval()

    def finish(self, net: Net) -> Net:
        """The updates are added to the weights, and nothing of them is left.

        Raises
        ------
        GateFailed : the network then answers otherwise.
        """
        tuned: Any = net.body
        noise = torch.randn(2, 3, self._size, self._size, generator=torch.Generator().manual_seed(0))
        before = _answers(net, noise)
        net.body = tuned.merge_and_unload(safe_merge=True)
        apart = float((_answers(net, noise) - before).abs().max() / before.abs().max().clamp(min=1))
        if not apart <= TOLERANCE:  # nor where it is NaN
            raise GateFailed(
                f"merged into the weights, the updates of --method lora answer otherwise, by {apart:.1e} of the "
                f"largest logit; at most {TOLERANCE:g} is allowed",
                hint="--method discriminative or norm, and please report the model's name",
                difference=apart,
            )
        return net


def fits(body: nn.Module, size: int) -> tuple[list[str], int]:
    """Names of the layers that take an update that can be merged, and how many with a kernel or a matrix do not.

    A convolution by groups (a depthwise one) has no merged form in peft, and the update of a dilated one is not dilated
    there; a subclass may compute otherwise than its parent (timm's "same" convolution pads by itself); and where a
    parent uses a layer's weights itself, an update beside the layer would train nothing and be merged all the same.

    Parameters
    ----------
    size : side of a picture, in pixels.
    """
    used, targets, left_out = entered(body, size), [], 0
    for name, module in body.named_modules():
        if module in used and _takes(module):
            targets.append(name)
        elif any(p.dim() > 1 for p in module.parameters(recurse=False)):
            left_out += 1
    return targets, left_out


def _takes(module: nn.Module) -> bool:
    if type(module) is nn.Conv2d:
        plain = module.groups == 1 and module.padding_mode == "zeros"
        return plain and set(module.dilation) == {1}
    return type(module) is nn.Linear


@torch.inference_mode()
def _answers(net: Net, pictures: Tensor) -> Tensor:
    logits: Tensor = net.eval().cpu()(pictures)  # a GPU rounds more coarsely than merging does
    return logits


def _adapted(body: nn.Module, targets: list[str], rank: int) -> Any:
    from peft import LoraConfig  # here, for it takes seconds
    from peft.tuners.lora import LoraModel

    # of a list, peft takes every layer whose name ends alike: conv1 would also be block1.conv1
    whole = "|".join(map(re.escape, targets))
    config = LoraConfig(r=rank, lora_alpha=rank, target_modules=whole, bias="none")
    return LoraModel(body, config, "default")


def _told(net: Net, updates: list[nn.Parameter], adapted: int, left_out: int, rank: int) -> str:
    trained = sum(p.numel() for p in (*updates, *net.head.parameters()))
    whole = sum(p.numel() for p in net.parameters()) - sum(p.numel() for p in updates)
    rest = f", {counted(left_out, 'layer')} cannot be (grouped or special)" if left_out else ""
    share = f"{100 * trained / whole:.1f} % of the weights' number is trained"
    return f"LoRA of rank {rank}: {counted(adapted, 'layer')} adapted{rest}; {share}"
