"""What a network in float answers, for judging checkpoints beside one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edgetl.transfer.augment import normalise
from edgetl.transfer.backbone import Net
from edgetl.types import Preprocess

__all__ = ["logits_of"]

BATCH = 32


@torch.inference_mode()
def logits_of(
    net: Net,
    preprocess: Preprocess,
    pictures: npt.NDArray[Any],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> npt.NDArray[np.float32]:
    """Logits, float32 (N, classes), of pictures uint8 (N, H, W, 3); the network is left in eval mode."""
    net.eval()
    found = [np.zeros((0, net.head.out_features), np.float32)]
    for start in range(0, len(pictures), BATCH):
        part = torch.from_numpy(np.array(pictures[start : start + BATCH])).permute(0, 3, 1, 2)
        found.append(net(normalise(part, preprocess)).numpy())
        on_progress(start + len(part), len(pictures))
    return np.concatenate(found)
