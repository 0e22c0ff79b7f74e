"""Fog, frost, snow and rain."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edgetl.verify.corruptions.texture import Picture, blurred, fractal, grey, line, unit

__all__ = ["fog", "frost", "rain", "snow"]

Layer = npt.NDArray[np.float32]

FOG = ((0.55, 2.0), (0.42, 2.0), (0.32, 1.8), (0.24, 1.7), (0.17, 1.6))
"""Share of the scene's light that comes through, and how fast the clouds lose detail."""
BRIGHT = 0.98
"""Share of the values that is below the airlight."""
FROST = ((0.85, 0.35), (0.75, 0.5), (0.65, 0.6), (0.6, 0.7), (0.5, 0.8))
"""What is left of the scene, and how white the ice is."""
SNOW = ((1.9, 0.9, 5.0), (1.7, 0.82, 6.0), (1.55, 0.74, 7.0), (1.4, 0.67, 8.0), (1.25, 0.6, 9.0))
"""Standard deviations above which a flake is, what is left of the scene's contrast, length of a flake."""
RAIN = (
    (0.002, 0.9, 18.0),
    (0.0035, 0.82, 21.0),
    (0.0055, 0.74, 24.0),
    (0.008, 0.66, 27.0),
    (0.011, 0.58, 30.0),
)
"""Share of pixels where a drop begins, what is left of the scene's light, length of its streak."""
ICE = np.array([0.86, 0.93, 1.0], np.float32)


def fog(picture: Picture, level: int, rng: np.random.Generator) -> Picture:
    """The scene fades into an airlight as bright as its brightest parts, uneven as clouds are.

    Koschmieder's law, ``scene * t + airlight * (1 - t)``, with the clouds of ImageNet-C; its darkest clouds would
    be smoke, so here they keep 0.6 of the light, and a street lamp alone does not light a night's fog.
    """
    through, decay = FOG[level]
    airlight = float(np.quantile(picture, BRIGHT)) * (
        0.6 + 0.4 * fractal(picture.shape, decay, rng)[..., None]
    )
    return np.asarray(picture * through + airlight * (1 - through), np.float32)


def frost(picture: Picture, level: int, rng: np.random.Generator) -> Picture:
    """Ice on the pane before the lens: needles along the ridges of a texture, thicker towards a border.

    ImageNet-C lays photographs of frost over a picture; here the ice is drawn.
    """
    kept, white = FROST[level]
    ridges = 1 - np.abs(2 * fractal(picture.shape, 1.45, rng) - 1)
    cover = fractal(picture.shape, 2.2, rng)
    ice = np.clip(ridges**4 + 0.55 * cover + 0.35 * _towards_border(picture.shape) - 0.2, 0, 1)
    return np.asarray(picture * kept + white * ice[..., None] * ICE, np.float32)


def _towards_border(shape: tuple[int, ...]) -> Layer:
    """0 in the middle of a picture, 1 on its border."""
    rows = np.abs(np.linspace(-1, 1, shape[0], dtype=np.float32))[:, None]
    columns = np.abs(np.linspace(-1, 1, shape[1], dtype=np.float32))[None, :]
    return np.asarray(np.maximum(rows, columns) ** 2, np.float32)


def snow(picture: Picture, level: int, rng: np.random.Generator) -> Picture:
    """The scene whitens, and flakes fall before it: near ones large and slanted, far ones small."""
    rare, kept, length = SNOW[level]
    size = unit(picture)
    degrees = float(rng.uniform(45, 135))
    white = np.maximum(picture, grey(picture) * 0.6 + np.float32(0.45))
    scene = np.float32(kept) * picture + np.float32(1 - kept) * white
    near = _flakes(picture.shape, 3.0 * size, rare, rng)
    far = _flakes(picture.shape, 1.5 * size, rare + 0.2, rng)
    falling = blurred(near, line(length * size, degrees)) + np.float32(0.7) * far
    return np.asarray(scene + 0.9 * np.clip(falling, 0, 1)[..., None], np.float32)


def _flakes(shape: tuple[int, ...], grain: float, rare: float, rng: np.random.Generator) -> Layer:
    """White spots of about ``grain`` pixels, where normal noise is above ``rare``."""
    height, width = (max(round(side / max(grain, 1.0)), 1) for side in shape[:2])
    noise = rng.standard_normal((height, width), dtype=np.float32)
    spots = np.clip(2 * (noise - np.float32(rare)), 0, 1)
    large = cv2.resize(spots, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(large, 0, 1), np.float32)


def rain(picture: Picture, level: int, rng: np.random.Generator) -> Picture:
    """The light dims, the air is a little hazy, and drops leave bright slanted streaks (Garg & Nayar 2007)."""
    share, light, length = RAIN[level]
    size = unit(picture)
    degrees = float(rng.uniform(70, 110))
    drops = (rng.random(picture.shape[:2], dtype=np.float32) < share).astype(np.float32)
    kernel = line(max(length * size, 2.0), degrees)
    streaks = np.clip(blurred(drops, kernel / kernel.max()), 0, 1)[..., None] * np.float32(0.55)
    scene = picture * np.float32(light) + np.float32(0.12 * (1 - light))
    return np.asarray(scene * (1 - streaks) + 0.85 * streaks, np.float32)
