"""Noise of the sensor and of a line that drops pixels."""

from __future__ import annotations

import numpy as np

from edgetl.verify.corruptions.texture import Picture

__all__ = ["gaussian_noise", "impulse_noise", "shot_noise"]

GAUSSIAN = (0.08, 0.12, 0.18, 0.26, 0.38)
"""Standard deviation, white is 1.0."""
PHOTONS = (60.0, 25.0, 12.0, 5.0, 3.0)
"""Of a white pixel."""
IMPULSE = (0.03, 0.06, 0.09, 0.17, 0.27)
"""Share of the values that are lost."""


def gaussian_noise(picture: Picture, level: int, rng: np.random.Generator) -> Picture:
    """Normal noise on every value: heat and electronics."""
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    return np.asarray(picture + noise * np.float32(GAUSSIAN[level]), np.float32)


def shot_noise(picture: Picture, level: int, rng: np.random.Generator) -> Picture:
    """Poisson noise: so few photons that their number varies."""
    return np.asarray(rng.poisson(picture * PHOTONS[level]) / PHOTONS[level], np.float32)


def impulse_noise(picture: Picture, level: int, rng: np.random.Generator) -> Picture:
    """Salt and pepper: values that are lost are black or white."""
    drawn = rng.random(picture.shape, dtype=np.float32)
    half = np.float32(IMPULSE[level] / 2)
    return np.where(drawn < half, np.float32(0), np.where(drawn > 1 - half, np.float32(1), picture))
