"""Pictures that a program makes: textures, fractals and scenes put together of them, free of anybody's rights.

They pretrain ``--model tiny`` (``pretrain_tiny.py``). A bank of textures is drawn once; a scene takes cuts of them,
turned and scaled, for its background and for the things before it. The two photographs that scikit-learn ships
(Creative Commons Attribution 2.0) stand among the textures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["SIDE", "bank", "photographs", "scene"]

Image = npt.NDArray[np.uint8]
Field = npt.NDArray[np.float32]
Generator = np.random.Generator

SIDE = 128
"""Side of a scene, in pixels."""
CANVAS = 256
"""Side of a texture."""
PHOTOGRAPH_SHARE = 0.4
"""How many cuts are taken from photographs where there are any."""
MOST_THINGS = 5


def bank(seed: int, count: int) -> list[Image]:
    """``count`` textures, uint8 (256, 256, 3): each kind in turn, equal for equal seed."""
    kinds: list[Callable[[Generator], Image]] = [_clouds, _waves, _cells, _attractor, _escape, _leaves]
    return [kinds[n % len(kinds)](np.random.default_rng([seed, n])) for n in range(count)]


def photographs() -> list[Image]:
    """scikit-learn's china.jpg and flower.jpg, uint8 (427, 640, 3)."""
    from sklearn.datasets import load_sample_images

    return [np.asarray(image) for image in load_sample_images().images]


def scene(rng: Generator, textures: Sequence[Image], photos: Sequence[Image]) -> Image:
    """A background with up to five things before it, lit, uint8 (128, 128, 3)."""

    def cut() -> Image:
        if photos and rng.random() < PHOTOGRAPH_SHARE:
            return _cut(rng, photos[int(rng.integers(len(photos)))])
        return _cut(rng, textures[int(rng.integers(len(textures)))])

    picture = cut().astype(np.float32)
    for _ in range(rng.integers(0, MOST_THINGS + 1)):
        mask = _outline(rng)
        shadow = cv2.GaussianBlur(np.roll(mask, rng.integers(-6, 7, 2), (0, 1)), (0, 0), 3.0)
        picture *= 1 - 0.5 * rng.random() * shadow[..., None]
        thing = cut().astype(np.float32) * _light(rng)
        picture += mask[..., None] * (thing - picture)
    return _finish(rng, picture)


def _cut(rng: Generator, image: Image) -> Image:
    """A turned, stretched, scaled and perhaps mirrored square of an image; its colours moved."""
    height, width = image.shape[:2]
    side = min(height, width) * rng.uniform(0.15, 0.9)
    angle = rng.normal(0, 0.3) if rng.random() < 0.7 else rng.uniform(-np.pi, np.pi)
    scale = side / SIDE * np.exp(rng.normal(0, 0.15, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn * scale * np.array([rng.choice([-1, 1]), 1])
    centre = np.array([rng.uniform(side / 2, width - side / 2), rng.uniform(side / 2, height - side / 2)])
    shift = centre - matrix @ np.full(2, SIDE / 2)
    warp = np.concatenate([matrix, shift[:, None]], axis=1)
    taken = cv2.warpAffine(
        image,
        warp,
        (SIDE, SIDE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    if rng.random() < 0.5:
        mixed = np.eye(3) + rng.normal(0, 0.15, (3, 3))
        taken = cv2.transform(taken, mixed)
    return np.asarray(taken, np.uint8)


def _outline(rng: Generator) -> Field:
    """A mask of one thing, float32 (128, 128) in [0, 1]: an ellipse, a polygon, a star, a thick line or a blob."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    radius = SIDE * float(np.exp(rng.uniform(np.log(0.06), np.log(0.45))))
    centre = rng.uniform(0.1, 0.9, 2) * SIDE
    kind = rng.integers(5)
    if kind == 0:
        axes = (int(radius) + 1, int(radius * rng.uniform(0.3, 1)) + 1)
        cv2.ellipse(mask, _point(centre), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
    elif kind == 3:
        ends = centre + np.cumsum(rng.normal(0, radius, (int(rng.integers(2, 5)), 2)), axis=0)
        cv2.polylines(mask, [ends.astype(np.int32)], bool(rng.random() < 0.3), 255, int(rng.integers(2, 14)))
    elif kind == 4:
        near = np.hypot(*(np.indices((SIDE, SIDE)) - centre[:, None, None])).astype(np.float32) / radius
        mask = ((_noise(rng, SIDE, 2.2) * 0.35 + near) < 0.9).astype(np.uint8) * 255
    else:
        corners = int(rng.integers(3, 12))
        angles = (
            np.sort(rng.uniform(0, 2 * np.pi, corners)) if kind == 1 else np.linspace(0, 2 * np.pi, corners)
        )
        reach = radius * np.where(np.arange(corners) % 2, 1.0, 1.0 if kind == 1 else rng.uniform(0.3, 0.8))
        places = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * reach[:, None]
        cv2.fillPoly(mask, [places.astype(np.int32)], 255)
    soft = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.5, 1.5)))
    field: Field = np.asarray(soft, np.float32) / np.float32(255)
    return field


def _light(rng: Generator) -> Field:
    """Brightness that falls off in one direction, float32 (128, 128, 1)."""
    down, right = rng.normal(0, 0.35, 2)
    ramp = np.linspace(-1, 1, SIDE, dtype=np.float32)
    return np.asarray(
        np.clip(rng.uniform(0.7, 1.2) + down * ramp[:, None] + right * ramp, 0.2, 1.8), np.float32
    )[..., None]


def _finish(rng: Generator, picture: npt.NDArray[Any]) -> Image:
    """What a camera adds: light, colour, contrast, blur, noise."""
    picture = picture * _light(rng) if rng.random() < 0.5 else picture
    picture = picture * rng.normal(1, 0.1, 3).astype(np.float32)
    middle = float(picture.mean())
    picture = (picture - middle) * rng.uniform(0.6, 1.3) + middle + rng.normal(0, 15)
    if rng.random() < 0.15:
        picture = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.5, 2.0)))
    if rng.random() < 0.3:
        picture = picture + rng.normal(0, rng.uniform(2, 12), picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _point(place: npt.NDArray[np.float64]) -> tuple[int, int]:
    return int(place[0]), int(place[1])


def _noise(rng: Generator, side: int, exponent: float) -> Field:
    """Noise with power falling as frequency to the minus ``exponent``; mean 0, deviation 1."""
    down, right = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    stretch = np.exp(rng.normal(0, 0.5))
    distance = np.hypot(down * stretch, right / stretch)
    distance[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((side, side))) * distance ** (-exponent / 2)
    field = np.fft.irfft2(spectrum, (side, side))
    return np.asarray((field - field.mean()) / field.std(), np.float32)


def _coloured(rng: Generator, field: Field) -> Image:
    """A field through a random palette: its ranks run along a few colours that are joined smoothly."""
    stops = int(rng.integers(3, 8))
    lightness = np.sort(rng.uniform(0, 255, stops)) if rng.random() < 0.5 else rng.uniform(0, 255, stops)
    hue = rng.normal(0, 35, 3) + np.cumsum(rng.normal(0, 25, (stops, 3)), axis=0)
    colours = np.clip(lightness[:, None] + hue, 0, 255)
    low, high = np.percentile(field, (1, 99))
    place = np.clip((field - low) / max(float(high - low), 1e-6), 0, 1) * (stops - 1)
    channels = [np.interp(place, np.arange(stops), colours[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)


def _clouds(rng: Generator) -> Image:
    """Coloured noise, plain, folded to ridges, or in steps."""
    exponent = rng.uniform(1.2, 3.5)
    field = _noise(rng, CANVAS, exponent)
    way = rng.integers(4)
    if way == 1:
        field = -np.abs(field)
    elif way == 2:
        field = np.floor(field * rng.uniform(1, 3))
    elif way == 3:  # three fields that share a part: natural colours hang together
        own = np.stack([_noise(rng, CANVAS, exponent) for _ in range(3)], axis=-1)
        mixed = 128 + 45 * (field[..., None] + rng.uniform(0.2, 0.8) * own) + rng.normal(0, 30, 3)
        return np.clip(mixed, 0, 255).astype(np.uint8)
    return _coloured(rng, field)


def _waves(rng: Generator) -> Image:
    """Gratings, bent by noise."""
    down, right = np.indices((CANVAS, CANVAS), dtype=np.float32)
    bend = _noise(rng, CANVAS, 3.0) * rng.uniform(0, 3)
    field = np.zeros((CANVAS, CANVAS), np.float32)
    for _ in range(rng.integers(1, 4)):
        angle, period = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(6), np.log(80)))
        phase = (np.cos(angle) * right + np.sin(angle) * down) * (2 * np.pi / period)
        wave = np.sin(phase + bend + rng.uniform(0, 2 * np.pi))
        field += np.sign(wave) if rng.random() < 0.3 else wave
    return _coloured(rng, field)


def _cells(rng: Generator) -> Image:
    """Voronoi cells with a colour each, darker towards their borders."""
    count = int(np.exp(rng.uniform(np.log(8), np.log(300))))
    seeds = np.full((CANVAS, CANVAS), 255, np.uint8)
    places = rng.integers(0, CANVAS, (count, 2))
    seeds[places[:, 0], places[:, 1]] = 0
    away, label = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    colours = np.clip(rng.normal(128, 30, 3) + rng.normal(0, 45, (int(label.max()) + 1, 3)), 0, 255)
    fade = 1 - rng.uniform(0, 0.9) * (away / max(float(away.max()), 1.0))[..., None]
    return np.asarray(colours[label] * fade, np.uint8)


def _attractor(rng: Generator) -> Image:
    """The attractor of a random iterated function system (Barnsley 1988; Kataoka et al. 2020, FractalDB)."""
    maps = int(rng.integers(2, 7))
    turns = rng.uniform(-1, 1, (maps, 2, 2))
    turns *= (rng.uniform(0.35, 0.9, maps) / np.linalg.norm(turns, 2, axis=(1, 2)))[:, None, None]
    shifts = rng.uniform(-1, 1, (maps, 2))
    weight = np.abs(np.linalg.det(turns)) + 0.02
    points = rng.uniform(-1, 1, (4000, 2))
    seen = np.zeros((CANVAS, CANVAS))
    low = high = np.zeros(2)
    for step in range(36):
        which = rng.choice(maps, len(points), p=weight / weight.sum())
        points = np.einsum("nij,nj->ni", turns[which], points) + shifts[which]
        if step == 11:
            low, high = np.percentile(points, 1, axis=0), np.percentile(points, 99, axis=0) + 1e-6
        if step > 11:
            cell = np.clip((points - low) / (high - low) * 0.9 + 0.05, 0, 0.999) * CANVAS
            np.add.at(seen, (cell[:, 0].astype(int), cell[:, 1].astype(int)), 1)
    density = np.log1p(cv2.GaussianBlur(seen, (0, 0), float(rng.uniform(0.7, 1.5))))
    return _coloured(rng, np.asarray(density, np.float32))


def _escape(rng: Generator) -> Image:
    """A Julia set by its time of escape."""
    angle, span = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(np.log(0.2), np.log(1.5)))
    c = (0.5 * np.exp(1j * angle) - 0.25 * np.exp(2j * angle)) * rng.uniform(1.0, 1.1)  # near the set's edge
    ramp = np.linspace(-span, span, CANVAS)
    z = (ramp + 1j * ramp[:, None]) + complex(*rng.normal(0, 0.4, 2))
    time = np.zeros((CANVAS, CANVAS), np.float32)
    for _ in range(40):
        alive = np.abs(z) < 4
        z = np.where(alive, z * z + c, z)
        time += alive
    return _coloured(rng, np.log1p(time) if rng.random() < 0.5 else time % rng.uniform(4, 12))


def _leaves(rng: Generator) -> Image:
    """Dead leaves (Lee, Mumford and Huang 2001): shapes over shapes, few large and many small ones."""
    image = np.full((CANVAS, CANVAS, 3), rng.uniform(0, 255, 3), np.uint8)
    tone, spread = rng.normal(128, 30, 3), rng.uniform(15, 70)
    for _ in range(rng.integers(40, 400)):
        radius = 4 / (1 - rng.random() * 0.96) ** 0.7
        centre = rng.uniform(0, CANVAS, 2)
        colour = np.clip(rng.normal(tone, spread), 0, 255).tolist()
        if rng.random() < 0.5:
            axes = (int(radius), max(1, int(radius * rng.uniform(0.3, 1))))
            cv2.ellipse(
                image, _point(centre), axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA
            )
        else:
            angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 7)))
            places = centre + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
            cv2.fillPoly(image, [places.astype(np.int32)], colour, cv2.LINE_AA)
    return image
