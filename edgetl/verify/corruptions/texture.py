"""What several corruptions are made of: cloudy textures, disks and lines to blur with, and grey levels."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["Picture", "blurred", "disk", "fractal", "grey", "line", "unit"]

Picture = npt.NDArray[np.float32]
"""Float32 (H, W, 3), RGB, black 0.0 and white 1.0."""

REFERENCE_SIDE = 224
OCTAVES = 8


def unit(picture: Picture) -> float:
    """What a pixel of ImageNet-C's 224 is in this picture, in its own pixels: lengths follow the short side."""
    return float(min(picture.shape[:2])) / REFERENCE_SIDE


def fractal(shape: tuple[int, ...], decay: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """A cloudy texture, float32 ``shape[:2]`` from 0 to 1: random grids, each twice as fine and weaker by ``decay``.

    Fournier, Fussell & Carpenter 1982 (Commun. ACM 25:371-384), as a sum of octaves. The draws depend on neither
    ``shape`` nor ``decay``, so that one picture keeps its clouds at every severity.
    """
    height, width = shape[:2]
    side = max(height, width)
    total = np.zeros((side, side), np.float32)
    for octave in range(1, OCTAVES + 1):
        grid = rng.random((2**octave + 1, 2**octave + 1), dtype=np.float32)
        total += cv2.resize(grid, (side, side), interpolation=cv2.INTER_LINEAR) * np.float32(decay**-octave)
    low, high = float(total.min()), float(total.max())
    even = (total - low) / (high - low) if high > low else np.full_like(total, 0.5)
    return np.ascontiguousarray(even[:height, :width], dtype=np.float32)


def grey(picture: Picture) -> Picture:
    """Luma (H, W, 1) by the weights of ITU-R BT.601."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    found: Picture = (picture @ weights)[..., None]
    return found


def disk(radius: float) -> npt.NDArray[np.float32]:
    """A round kernel of sum 1 with a soft edge: what a lens out of focus makes of a point."""
    reach = math.ceil(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return _normalised(np.clip(radius + 0.5 - np.hypot(x, y), 0, 1))


def line(length: float, degrees: float) -> npt.NDArray[np.float32]:
    """A straight kernel of sum 1 with soft edges: what a camera or a drop that moves makes of a point."""
    half = max(length - 1, 0.0) / 2
    reach = math.ceil(half)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along_x, along_y = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    place = np.clip(x * along_x + y * along_y, -half, half)
    return _normalised(np.clip(1 - np.hypot(x - place * along_x, y - place * along_y), 0, 1))


def _normalised(kernel: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return np.asarray(kernel / kernel.sum(), np.float32)


def blurred(layer: npt.NDArray[np.float32], kernel: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A picture or a layer under a kernel; what is beyond its border mirrors what is inside."""
    found = cv2.filter2D(layer, -1, kernel, borderType=cv2.BORDER_REFLECT)
    return np.asarray(found, np.float32).reshape(layer.shape)
