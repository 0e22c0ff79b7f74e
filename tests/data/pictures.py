"""Pictures that tests make: smooth random scenes, told apart by their seed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


def scene(seed: int, side: int = 96) -> Image:
    """Smooth blobs of colour, uint8 (side, side, 3)."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def folders(root: Path, counts: dict[str, int], *, seed: int = 0, side: int = 96) -> Path:
    """PNG files ``root/<class>/<number>.png``, all different."""
    for number, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for index in range(count):
            cv2.imwrite(str(root / name / f"{index}.png"), scene(seed + 1000 * number + index, side))
    return root
