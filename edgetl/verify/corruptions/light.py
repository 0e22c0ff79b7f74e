"""Too much light, too little, too even, and light in the lens."""

from __future__ import annotations

import numpy as np

from edgetl.verify.corruptions.texture import Picture

__all__ = ["brightness", "contrast", "glare", "low_light"]

BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)
CONTRAST = (0.4, 0.3, 0.2, 0.1, 0.05)
STOPS = (1.0, 2.0, 3.0, 4.0, 5.0)
"""Halvings of the light."""
GLARE = ((0.35, 0.10), (0.5, 0.14), (0.65, 0.19), (0.8, 0.25), (0.95, 0.32))
"""Strength of the veil, and its width in short sides."""
GAMMA = 2.2
FULL_WELL = 1000.0
"""Electrons of a white pixel at full light: a small sensor at a raised gain."""
READ_NOISE = 3.0
"""Electrons, whatever the light."""


def brightness(picture: Picture, level: int, rng: np.random.Generator) -> Picture:
    """The value of HSV is raised; hue and saturation stay."""
    value = picture.max(axis=2, keepdims=True)
    raised = np.minimum(value + np.float32(BRIGHTNESS[level]), 1)
    return np.asarray(np.where(value > 0, picture * (raised / np.maximum(value, 1e-6)), raised), np.float32)


def low_light(picture: Picture, level: int, rng: np.random.Generator) -> Picture:
    """One to five stops less light on the sensor: fewer electrons, counted with shot and read noise, not raised again.

    Poisson noise of the electrons and normal noise of the read-out, in linear light (Foi et al. 2008, IEEE Trans.
    Image Process. 17:1737-1754).
    """
    electrons = picture**GAMMA * (FULL_WELL * 0.5 ** STOPS[level])
    read_out = rng.normal(0, READ_NOISE, picture.shape)
    counted = rng.poisson(electrons) + read_out
    return np.asarray((np.clip(counted, 0, None) / FULL_WELL) ** (1 / GAMMA), np.float32)


def contrast(picture: Picture, level: int, rng: np.random.Generator) -> Picture:
    """Every pixel is drawn to the mean of its channel."""
    mean = picture.mean(axis=(0, 1), keepdims=True)
    return np.asarray(mean + (picture - mean) * CONTRAST[level], np.float32)


def glare(picture: Picture, level: int, rng: np.random.Generator) -> Picture:
    """A low sun or a headlight in the frame: a bright core, and a veil that falls with the distance squared.

    The veil after Stiles & Holladay (CIE 135/1-1999): luminance by one over the angle squared.
    """
    strength, wide = GLARE[level]
    height, width = picture.shape[:2]
    centre_y, centre_x = rng.uniform(0.1, 0.6) * height, rng.uniform(0.15, 0.85) * width
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + np.float32(0.5)
    far = ((x - centre_x) ** 2 + (y - centre_y) ** 2) / (wide * min(height, width)) ** 2
    veil = (np.float32(strength) / (1 + far))[..., None] * np.array([1.0, 0.97, 0.88], np.float32)
    return np.asarray(1 - (1 - picture) * (1 - veil), np.float32)
