"""What happens to a picture on the way: compression, too few pixels, too few levels, and a bent geometry."""

from __future__ import annotations

import cv2
import numpy as np

from edgetl.verify.corruptions.texture import Picture, unit

__all__ = ["color_quantization", "elastic_transform", "jpeg_compression", "pixelate"]

QUALITY = (25, 18, 15, 10, 7)
PIXELS = (0.5, 0.4, 0.32, 0.25, 0.2)
"""Of the side."""
BITS = (5, 4, 3, 2, 1)
"""A channel."""
ELASTIC = (1.0, 1.8, 2.7, 3.7, 5.0)
"""Root mean square of the way that a pixel goes, along each axis."""
ELASTIC_SMOOTH = 6.0
"""Standard deviation of the bell that makes neighbours go the same way."""


def jpeg_compression(picture: Picture, level: int, rng: np.random.Generator) -> Picture:
    """Through a JPEG of low quality, colours at half the resolution."""
    levels = np.rint(picture * 255).astype(np.uint8)
    done, encoded = cv2.imencode(".jpg", levels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY[level]])
    assert done
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB) / np.float32(255), np.float32)


def pixelate(picture: Picture, level: int, rng: np.random.Generator) -> Picture:
    """Through a smaller picture and back, in blocks."""
    height, width = picture.shape[:2]
    small = max(round(width * PIXELS[level]), 1), max(round(height * PIXELS[level]), 1)
    few = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(few, (width, height), interpolation=cv2.INTER_NEAREST), np.float32)


def color_quantization(picture: Picture, level: int, rng: np.random.Generator) -> Picture:
    """Five bits a channel to one (Kar et al. 2022, 3D Common Corruptions)."""
    steps = 2 ** BITS[level] - 1
    return np.asarray(np.rint(picture * steps) / steps, np.float32)


def elastic_transform(picture: Picture, level: int, rng: np.random.Generator) -> Picture:
    """Neighbouring pixels are moved together, far ones apart: heat haze, a bent pane (Simard et al. 2003)."""
    height, width = picture.shape[:2]
    size = unit(picture)
    moved = []
    for side in np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)):
        noise = rng.uniform(-1, 1, (height, width)).astype(np.float32)
        way = cv2.GaussianBlur(
            noise, (0, 0), max(ELASTIC_SMOOTH * size, 0.5), borderType=cv2.BORDER_REFLECT
        ).reshape(height, width)
        spread = float(np.sqrt(np.mean(np.square(way)))) or 1.0
        moved.append(side + way * np.float32(ELASTIC[level] * size / spread))
    found = cv2.remap(picture, moved[0], moved[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(found, np.float32).reshape(picture.shape)
