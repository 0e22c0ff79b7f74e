"""Out of focus, moved, zoomed while exposed, and plainly soft."""

from __future__ import annotations

import cv2
import numpy as np

from edgetl.verify.corruptions.texture import Picture, blurred, disk, line, unit

__all__ = ["defocus_blur", "gaussian_blur", "motion_blur", "zoom_blur"]

DEFOCUS = (2.5, 3.5, 5.0, 7.0, 9.0)
"""Radius of the disk."""
LEAST_DEFOCUS = (0.6, 0.7, 0.85, 1.05, 1.3)
"""In the picture's own pixels: one of 32 would be blurred within its pixels otherwise, which changes nothing."""
MOTION = (9.0, 13.0, 18.0, 24.0, 32.0)
"""Length of the way."""
ZOOM = (1.10, 1.15, 1.20, 1.26, 1.33)
"""Largest factor."""
ZOOM_STEPS = 12
GAUSSIAN = (1.0, 2.0, 3.0, 4.0, 6.0)
"""Standard deviation."""
LEAST_GAUSSIAN = (0.4, 0.6, 0.7, 0.8, 1.0)
"""In the picture's own pixels, as Hendrycks & Dietterich 2019 (arXiv:1903.12261) blur pictures of 32 in CIFAR-10-C."""


def defocus_blur(picture: Picture, level: int, rng: np.random.Generator) -> Picture:
    """Every point becomes a disk."""
    return blurred(picture, disk(max(DEFOCUS[level] * unit(picture), LEAST_DEFOCUS[level])))


def motion_blur(picture: Picture, level: int, rng: np.random.Generator) -> Picture:
    """Every point becomes a line, within 45 degrees of level."""
    return blurred(picture, line(MOTION[level] * unit(picture), float(rng.uniform(-45, 45))))


def zoom_blur(picture: Picture, level: int, rng: np.random.Generator) -> Picture:
    """The mean of the picture and of itself ever closer: a camera that drives ahead."""
    height, width = picture.shape[:2]
    total = picture.copy()
    for factor in np.linspace(1, ZOOM[level], ZOOM_STEPS)[1:]:
        move = np.array(
            [[factor, 0, (1 - factor) * (width - 1) / 2], [0, factor, (1 - factor) * (height - 1) / 2]]
        )
        total += cv2.warpAffine(
            picture, move, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        ).reshape(picture.shape)
    return np.asarray(total / ZOOM_STEPS, np.float32)


def gaussian_blur(picture: Picture, level: int, rng: np.random.Generator) -> Picture:
    """Every point becomes a bell."""
    sigma = max(GAUSSIAN[level] * unit(picture), LEAST_GAUSSIAN[level])
    found = cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return np.asarray(found, np.float32).reshape(picture.shape)
