"""The linear probe: a head that was fitted on frozen features, for other methods to start from."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgetl.transfer.backbone import Net
from edgetl.transfer.checkpoint import HEAD, set_head

__all__ = ["Probe", "read"]


class Probe(NamedTuple):
    """``weight`` float32 (classes, D), ``bias`` float32 (classes,)."""

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]

    def put(self, net: Net) -> None:
        """Let the head of a network start from it."""
        set_head(net, self.weight, self.bias)


def read(folder: Path) -> Probe:
    """What the stage ``probe`` left in its folder."""
    with np.load(folder / HEAD) as kept:
        return Probe(kept["weight"], kept["bias"])
