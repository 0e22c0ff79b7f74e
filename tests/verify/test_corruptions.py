"""Corruptions: the same for a seed, harder with severity, of any size, and named like the literature names them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl.errors import InputError
from edgetl.verify import corruptions

NAMES = corruptions.named(["all"])
Image = npt.NDArray[np.uint8]


def scene(height: int, width: int, seed: int = 0) -> Image:
    """A smooth sky over textured ground with dark and bright boxes: edges, colours and every grey level."""
    rng = np.random.default_rng(seed)
    rows = np.linspace(0, 1, height)[:, None, None]
    picture = rows * (0.45, 0.4, 0.3) + (1 - rows) * (0.3, 0.55, 0.9) + np.zeros((height, width, 1))
    picture += np.where(rows > 0.5, rng.normal(0, 0.06, (height, width, 1)), 0)
    for _ in range(8):
        top, left = rng.integers(0, max(height - 2, 1)), rng.integers(0, max(width - 2, 1))
        tall, wide = rng.integers(1, height // 3 + 2), rng.integers(1, width // 3 + 2)
        picture[top : top + tall, left : left + wide] = rng.uniform(0, 1, 3)
    return (255 * np.clip(picture, 0, 1)).astype(np.uint8)


def corrupted(image: Image, name: str, severity: int, seed: int = 0) -> Image:
    return corruptions.apply(image, name, severity, np.random.default_rng(seed))


def distance(a: Image, b: Image) -> float:
    return float(np.sqrt(np.mean(np.square(a.astype(np.float64) - b))))


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_decides_every_byte_and_the_picture_given_stays(name: str) -> None:
    image = scene(96, 64)
    before = image.copy()
    first, again = corrupted(image, name, 3, seed=7), corrupted(image, name, 3, seed=7)
    assert first.dtype == np.uint8 and first.shape == image.shape
    assert np.array_equal(first, again)
    assert np.array_equal(image, before)


@pytest.mark.parametrize(
    "name", ["fog", "frost", "snow", "rain", "low_light", "glare", "motion_blur", "shot_noise"]
)
def test_another_picture_gets_another_draw(name: str) -> None:
    assert not np.array_equal(corrupted(scene(64, 64), name, 3, 1), corrupted(scene(64, 64), name, 3, 2))


@pytest.mark.parametrize("side", [32, 48, 64, 224])
@pytest.mark.parametrize("name", NAMES)
def test_a_higher_severity_is_farther_from_the_clean_picture(name: str, side: int) -> None:
    images = [scene(side, side, seed) for seed in range(4)]
    far = [
        np.mean(
            [distance(corrupted(image, name, severity, seed), image) for seed, image in enumerate(images)]
        )
        for severity in corruptions.SEVERITIES
    ]
    assert far[0] > 0 and all(a < b for a, b in pairwise(far)), far


@pytest.mark.parametrize(
    "name", ["defocus_blur", "motion_blur", "gaussian_blur", "zoom_blur", "elastic_transform"]
)
def test_a_severity_means_the_same_at_another_resolution(name: str) -> None:
    """A picture of twice the side is as far from its corrupted self; a radius in fixed pixels would halve the blur."""
    small = scene(112, 112)
    large = np.repeat(np.repeat(small, 2, axis=0), 2, axis=1)
    a, b = distance(corrupted(small, name, 4), small), distance(corrupted(large, name, 4), large)
    assert 0.8 < a / b < 1.25


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    severity=st.sampled_from(corruptions.SEVERITIES),
    height=st.integers(1, 41),
    width=st.integers(1, 41),
    seed=st.integers(0, 3),
)
def test_every_size_gives_a_picture_of_that_size(
    name: str, severity: int, height: int, width: int, seed: int
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    found = corrupted(image, name, severity, seed)
    assert found.dtype == np.uint8 and found.shape == image.shape and found.flags.c_contiguous


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("name", NAMES)
def test_black_and_white_are_pictures_too(name: str, level: int) -> None:
    assert corrupted(np.full((32, 32, 3), level, np.uint8), name, 5).shape == (32, 32, 3)


COLOURS_OF_ITS_OWN = {"frost", "glare", "gaussian_noise", "shot_noise", "impulse_noise", "low_light"}
"""Ice is bluish, the sun is yellow, and every channel has noise of its own."""


@pytest.mark.parametrize("name", sorted(set(NAMES) - COLOURS_OF_ITS_OWN))
def test_a_grey_picture_stays_grey(name: str) -> None:
    grey = np.repeat(scene(64, 64)[..., :1], 3, axis=2)
    found = corrupted(grey, name, 4).astype(int)
    assert np.ptp(found, axis=2).max() <= 1


def test_a_view_of_a_picture_is_as_good_as_a_copy() -> None:
    image = scene(64, 64)
    turned = image[::-1, ::2, ::-1]
    for name in NAMES:
        assert np.array_equal(corrupted(turned, name, 2), corrupted(turned.copy(), name, 2))


def test_low_light_is_dark_and_fog_is_pale() -> None:
    image = scene(96, 96)
    assert corrupted(image, "low_light", 5).mean() < 0.4 * image.mean()
    foggy = corrupted(image, "fog", 5)
    assert foggy.mean() > image.mean() and foggy.std() < 0.6 * image.std()


def test_a_name_that_is_not_known_is_told_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"'fgo'.*Did you mean 'fog'") as caught:
        corruptions.named(["weather", "fgo"])
    assert "low_light" in caught.value.hint
    with pytest.raises(InputError, match="Did you mean 'jpeg_compression'"):
        corruptions.named(["jpeg"])
    with pytest.raises(InputError, match="Did you mean 'frost'"):
        corrupted(scene(8, 8), "forst", 1)


@pytest.mark.parametrize("severity", [0, 6, -1])
def test_a_severity_beyond_the_scale_is_refused(severity: int) -> None:
    with pytest.raises(InputError, match=f"severity {severity} is not one of 1 to 5"):
        corrupted(scene(8, 8), "fog", severity)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_picture_is_refused(image: npt.NDArray[np.uint8]) -> None:
    with pytest.raises(InputError, match="expected uint8"):
        corrupted(image, "fog", 1)
