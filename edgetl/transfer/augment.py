"""Training pictures: a random square of the original, by the device's own resampler, mirrored, colours moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.transforms import v2

from edgetl.data.decode import WORKERS, read_image
from edgetl.runtime import preprocess as rule
from edgetl.transfer.distributed import Group
from edgetl.types import Preprocess

__all__ = ["Batches", "normalise"]

Image = npt.NDArray[np.uint8]

LEAST_AREA = 0.35
JITTER = 0.2
KEPT_BYTES = 2 << 30
"""Decoded originals are kept while they fit in so much memory of a machine; others are decoded again each epoch."""


class Batches:
    """Augmented batches, equal for equal seed and epoch whatever the threads do.

    Parameters
    ----------
    root : where the pictures are. paths, labels : of the train role.
    flip : mirror half of them.
    group : the processes that share each batch; this one prepares and yields its part.
    """

    def __init__(
        self,
        root: Path,
        paths: Sequence[str],
        labels: Sequence[int],
        preprocess: Preprocess,
        *,
        batch_size: int,
        flip: bool,
        seed: int,
        group: Group | None = None,
    ) -> None:
        self._root = root
        self._group = group or Group()
        self._paths = list(paths)
        self._labels = torch.tensor(list(labels))
        self._preprocess = preprocess
        self._size = batch_size
        self._flip = flip
        self._seed = seed
        self._kept: dict[int, Image] = {}
        self._bytes = 0
        self._jitter = v2.ColorJitter(brightness=JITTER, contrast=JITTER, saturation=JITTER)

    def __len__(self) -> int:
        return max(1, len(self._paths) // self._size)

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of uint8 (N, 3, H, W) and class indices (N,), the next one prepared while one is used.

        A last batch that is not full is left out: batch norm over a handful of pictures is noise.
        """
        order = np.random.default_rng([self._seed, number]).permutation(len(self._paths)).tolist()
        full = [
            self._group.part(order[start * self._size : (start + 1) * self._size])
            for start in range(len(self))
        ]
        with ThreadPoolExecutor(WORKERS) as pool:
            jobs = [pool.submit(self._picture, number, index) for index in full[0]]
            for position, rows in enumerate(full):
                pictures = np.stack([job.result() for job in jobs])
                if position + 1 < len(full):
                    jobs = [pool.submit(self._picture, number, index) for index in full[position + 1]]
                batch = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()
                yield self._jitter(batch), self._labels[torch.tensor(rows)]

    def _picture(self, epoch: int, index: int) -> Image:
        rng = np.random.default_rng([self._seed, epoch, index])
        image = self._original(index)
        height, width = image.shape[:2]
        side = max(1, min(int(np.sqrt(rng.uniform(LEAST_AREA, 1.0) * height * width)), height, width))
        top, left = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
        cut = rule.apply(image, self._preprocess, box=(top, left, side))
        return np.ascontiguousarray(cut[:, ::-1]) if self._flip and rng.random() < 0.5 else cut

    def _original(self, index: int) -> Image:
        if index in self._kept:
            return self._kept[index]
        image = read_image(self._root / self._paths[index], self._paths[index])
        if self._bytes + image.nbytes <= KEPT_BYTES // self._group.local_count:
            self._kept[index] = image
            self._bytes += image.nbytes
        return image


def normalise(pictures: Tensor, preprocess: Preprocess) -> Tensor:
    """What the engine's graph does first: uint8 (N, 3, H, W) to normalised float32."""
    scale, shift = (
        torch.tensor(values, device=pictures.device).view(1, 3, 1, 1) for values in preprocess.affine()
    )
    return pictures.float() * scale + shift
