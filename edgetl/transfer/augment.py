"""Training pictures: varied by a policy, the square by the device's own resampler, the rest by torchvision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.transforms import v2

from edgetl.data.decode import WORKERS, read_image
from edgetl.runtime import preprocess as rule
from edgetl.transfer.distributed import Group
from edgetl.transfer.policy import Augmentation
from edgetl.types import Preprocess

__all__ = ["Augmenter", "Batches", "normalise"]

Image = npt.NDArray[np.uint8]

SMALL = 64
"""Pixels of the shorter side up to which a picture is moved instead of cut: a cut of so few, enlarged, is a blur in
which also a well-trained network, such as a teacher, is often wrong."""
REACH = 1 / 8
"""How far, as a share of the side: 4 of 32 pixels (He et al. 2016, arXiv:1512.03385, section 4.2)."""
KEPT_BYTES = 2 << 30
"""Decoded originals are kept while they fit in so much memory of a machine; others are decoded again each epoch."""


class Augmenter:
    """A policy at work. Each picture and batch is drawn from a key of its own, whatever was drawn before it.

    Parameters
    ----------
    classes : how many; mixing makes shares of them.
    """

    def __init__(self, policy: Augmentation, preprocess: Preprocess, classes: int) -> None:
        self._policy = policy
        self._preprocess = preprocess
        self._filling = filling = [round(255 * mean) for mean in preprocess.mean]  # what is normalised to 0
        chosen: list[Any] = []
        if policy.jitter:
            chosen.append(
                v2.ColorJitter(brightness=policy.jitter, contrast=policy.jitter, saturation=policy.jitter)
            )
        if policy.operations:
            chosen.append(v2.RandAugment(policy.operations, policy.magnitude, fill=filling))
        if policy.erase:
            chosen.append(v2.RandomErasing(policy.erase, value=filling))
        self._transform = v2.Compose(chosen) if chosen else None
        mixers = [(v2.MixUp, policy.mixup), (v2.CutMix, policy.cutmix)]
        ways = [mix(alpha=alpha, num_classes=classes) for mix, alpha in mixers if alpha]
        self._mix = v2.RandomChoice(ways) if ways else None

    def square(self, image: Image, key: Sequence[int]) -> Image:
        """The network's input from a picture (H, W, 3): a square of it, mirrored or not; safe from any thread."""
        rng, least = np.random.default_rng(key), self._policy.least_area
        height, width = image.shape[:2]
        if least >= 1:
            cut = rule.apply(image, self._preprocess)
        elif min(height, width) <= SMALL:
            cut = self._moved(rule.apply(image, self._preprocess), rng)
        else:
            side = max(1, min(int(np.sqrt(rng.uniform(least, 1.0) * height * width)), height, width))
            top, left = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
            cut = rule.apply(image, self._preprocess, box=(top, left, side))
        return np.ascontiguousarray(cut[:, ::-1]) if self._policy.flip and rng.random() < 0.5 else cut

    def _moved(self, square: Image, rng: np.random.Generator) -> Image:
        """The same square, moved; what comes into sight is of the mean colour."""
        ways = rng.uniform(-REACH, REACH, 2) * square.shape[:2]  # shares: alike at any size
        down, right = (int(way) for way in np.round(ways))
        moved = np.full_like(square, self._filling)
        moved[_into(down), _into(right)] = square[_into(-down), _into(-right)]
        return moved

    def vary(self, picture: Tensor, key: Sequence[int]) -> Tensor:
        """Colours moved, operations, a part erased: uint8 (3, H, W)."""
        if self._transform is None:
            return picture
        with _drawn_from(key):
            varied: Tensor = self._transform(picture)
        return varied

    def mix(self, batch: Tensor, labels: Tensor, key: Sequence[int]) -> tuple[Tensor, Tensor]:
        """A batch (N, 3, H, W) mixed with itself, float32 from 0 to 255, and shares of classes (N, classes).

        Without mixing both are given back as they are.
        """
        if self._mix is None:
            return batch, labels
        with _drawn_from(key):
            pictures, shares = self._mix(batch.float(), labels)
        return pictures, shares


def _into(way: int) -> slice:
    """What is left of an axis after a move along it."""
    return slice(way, None) if way >= 0 else slice(None, way)


@contextmanager
def _drawn_from(key: Sequence[int]) -> Iterator[None]:
    """torchvision draws from torch's one generator: it is set to the key, and afterwards is where it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]) >> 1)
        yield


@contextmanager
def _one_thread() -> Iterator[None]:
    """One picture is too small to share.

    Threads that wait for each other made it up to 70 times slower on a busy host, and their number would change the
    bits of its mean.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _varied(augmenter: Augmenter, squares: Sequence[Image], batch: Sequence[tuple[int, list[int]]]) -> Tensor:
    """A batch (N, 3, H, W) of squares, each varied by its own key."""
    with _one_thread():
        varied = [
            augmenter.vary(torch.from_numpy(square).permute(2, 0, 1), [*key, 1])
            for square, (_, key) in zip(squares, batch)
        ]
    return torch.stack(varied).contiguous()


class Batches:
    """Augmented batches, equal for equal seed and epoch whatever the threads do.

    Parameters
    ----------
    root : where the pictures are. paths, labels : of the train role.
    odds : of drawing a picture of each class, which may then come more than once an epoch; empty: each comes once.
    group : the processes that share each batch; this one prepares and yields its part.
    """

    def __init__(
        self,
        root: Path,
        paths: Sequence[str],
        labels: Sequence[int],
        augmenter: Augmenter,
        *,
        batch_size: int,
        seed: int,
        odds: Sequence[float] = (),
        group: Group | None = None,
    ) -> None:
        self._root = root
        self._group = group or Group()
        self._paths = list(paths)
        self._labels = torch.tensor(list(labels))
        self._augmenter = augmenter
        self._size = batch_size
        self._seed = seed
        drawn = np.array([odds[label] for label in labels] if odds else [1.0] * len(self._paths))
        self._odds = drawn / drawn.sum() if odds else None
        self._kept: dict[int, Image] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return max(1, len(self._paths) // self._size)

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches (N, 3, H, W) from 0 to 255 and classes (N,) or shares of them.

        The next one is prepared while one is used. A last batch that is not full is left out: batch norm over a
        handful of pictures is noise.
        """
        for (pictures,), (labels,) in self.views(number):
            yield pictures, labels

    def views(self, number: int, *others: Augmenter) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
        """As ``epoch``, with each batch also as other networks take it: varied by the same draws, at another size."""
        augmenters = (self._augmenter, *others)
        keyed = self._order(number)
        full = [
            self._group.part(keyed[start * self._size : (start + 1) * self._size])
            for start in range(len(self))
        ]
        with ThreadPoolExecutor(WORKERS) as pool:
            jobs = [pool.submit(self._squares, augmenters, *one) for one in full[0]]
            for position, batch in enumerate(full):
                views = list(zip(*(job.result() for job in jobs)))
                if position + 1 < len(full):
                    jobs = [pool.submit(self._squares, augmenters, *one) for one in full[position + 1]]
                labels = self._labels[torch.tensor([index for index, _ in batch])]
                mixing = [self._seed, number, position, 0, 2]
                finished = [
                    augmenter.mix(_varied(augmenter, squares, batch), labels, mixing)
                    for augmenter, squares in zip(augmenters, views)
                ]
                yield [pictures for pictures, _ in finished], [shares for _, shares in finished]

    def _order(self, epoch: int) -> list[tuple[int, list[int]]]:
        """Which pictures an epoch shows, each with the key that it is varied by: another each time it comes."""
        rng, count = np.random.default_rng([self._seed, epoch]), len(self._paths)
        order = rng.permutation(count) if self._odds is None else rng.choice(count, count, p=self._odds)
        seen: Counter[int] = Counter()
        keyed = []
        for index in order.tolist():
            keyed.append((index, [self._seed, epoch, index, seen[index]]))
            seen[index] += 1
        return keyed

    def _squares(self, augmenters: Sequence[Augmenter], index: int, key: Sequence[int]) -> list[Image]:
        image = self._original(index)
        return [augmenter.square(image, key) for augmenter in augmenters]

    def _original(self, index: int) -> Image:
        if index in self._kept:
            return self._kept[index]
        image = read_image(self._root / self._paths[index], self._paths[index])
        if self._bytes + image.nbytes <= KEPT_BYTES // self._group.local_count:
            self._kept[index] = image
            self._bytes += image.nbytes
        return image


def normalise(pictures: Tensor, preprocess: Preprocess) -> Tensor:
    """What the engine's graph does first: (N, 3, H, W) from 0 to 255 to normalised float32."""
    scale, shift = (
        torch.tensor(values, device=pictures.device).view(1, 3, 1, 1) for values in preprocess.affine()
    )
    return pictures.float() * scale + shift
