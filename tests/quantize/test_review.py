"""What a calibration says of its samples: each fault planted, and named."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from edgetl.quantize.observe import observe
from edgetl.quantize.review import Review, review
from tests.quantize import graphs


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return graphs.write("residual", tmp_path_factory.mktemp("review"))


def of(model: Path, pictures: Iterable[graphs.Array], method: str = "minmax") -> Review:
    return review(observe(model, pictures, method=method))


def faint(count: int) -> Iterable[graphs.Array]:
    """Pictures whose contrast differs so much that a few do not tell the range."""
    rng = np.random.default_rng(0)
    for contrast in rng.lognormal(0, 1.0, count):
        noise = rng.normal(0, 8 * contrast, (1, graphs.SIDE, graphs.SIDE, 3))
        yield np.clip(128 + noise, 0, 255).astype(np.uint8)


def test_ranges_that_move_are_said_with_the_tensors_and_what_mends_it(model: Path) -> None:
    found = of(model, faint(16))
    assert found.moves is not None and found.moves > 0.1
    assert any("--calib-samples 32" in line for line in found.warnings)
    shares = [one.share for one in found.worst]
    assert shares == sorted(shares, reverse=True)
    assert f"{100 * found.moves:.1f} %" in found.summary()


@pytest.mark.parametrize(
    ("available", "words"),
    [(16, "more pictures, all 16 were taken"), (20, "--calib-samples 20"), (99, "--calib-samples 32")],
)
def test_no_more_samples_are_asked_for_than_there_are(model: Path, available: int, words: str) -> None:
    stats = observe(model, faint(16), method="minmax")
    assert any(words in line for line in review(stats, available).warnings)


def test_more_pictures_settle_the_ranges(model: Path) -> None:
    few, many = (of(model, faint(count), "average").moves for count in (16, 256))
    assert few is not None and many is not None and many < few / 2


def test_pictures_that_are_enough_bring_no_warning(model: Path) -> None:
    assert of(model, graphs.pictures(64)).warnings == ()


def test_one_picture_many_times_is_said(model: Path) -> None:
    found = of(model, list(graphs.pictures(1)) * 16)
    assert (found.samples, found.distinct) == (16, 1)
    assert any(line.startswith("all 16 samples are one") for line in found.warnings)


def test_repeated_pictures_are_counted(model: Path) -> None:
    pictures = list(graphs.pictures(20))
    found = of(model, [*pictures, pictures[3], pictures[4]])
    assert found.distinct == 20
    assert any(line.startswith("2 of 22 samples are repeated") for line in found.warnings)


def test_too_few_to_tell_is_said(model: Path) -> None:
    found = of(model, graphs.pictures(5))
    assert found.moves is None and found.worst == ()
    assert found.summary() == "too few to tell how stable"
    assert any("too few to tell how stable ranges are, 5 samples" in line for line in found.warnings)


def test_constant_tensors_are_named(model: Path) -> None:
    black = np.zeros((1, graphs.SIDE, graphs.SIDE, 3), np.uint8)
    found = of(model, [black] * 8)
    assert found.constant
    assert any(repr(found.constant[0]) in line for line in found.warnings)


def test_tensors_beyond_fp16_are_named(tmp_path: Path) -> None:
    b = graphs.Builder(pixels=False)
    large = b.node("Mul", b.conv("input", 3, 8), b.const(1e5))
    model = b.save(tmp_path / "model.onnx", b.conv(large, 8, 8))
    rng = np.random.default_rng(0)
    found = of(
        model, (rng.normal(size=(1, 3, graphs.SIDE, graphs.SIDE)).astype(np.float32) for _ in range(8))
    )
    assert found.beyond_half == (large,)
    assert any("beyond FP16" in line for line in found.warnings)
