"""The small network of our own: its pictures, its pretraining, and the weights that ship."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edgetl import digest, models
from edgetl.errors import InputError
from edgetl.stages.backbone import identity
from edgetl.transfer import backbone, pretrain_tiny, synthetic, weights
from edgetl.transfer.pretrain_tiny import Lessons
from edgetl.transfer.tiny import Tiny
from edgetl.types import BuildSpec


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small layers: a second thread only waits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _lessons(count: int) -> Lessons:
    """Pictures whose lesson is their mean colour."""
    draw = torch.Generator().manual_seed(0)
    colours = torch.rand(count, 3, 1, 1, generator=draw)
    pictures = (colours * 255).to(torch.uint8).expand(count, 3, 64, 64).contiguous()
    features = (colours.flatten(1) - 0.5) / 0.29
    return Lessons(pictures, features, torch.zeros(count, 2))


def test_the_same_seed_draws_the_same_scene_and_another_seed_another() -> None:
    textures = synthetic.bank(0, 6)

    def scene(seed: int) -> synthetic.Image:
        return synthetic.scene(np.random.default_rng(seed), textures, synthetic.photographs())

    np.testing.assert_array_equal(scene(3), scene(3))
    assert np.abs(scene(3).astype(int) - scene(4)).mean() > 5


def test_every_kind_of_texture_shows_something() -> None:
    for texture in synthetic.bank(1, 12):
        assert texture.shape == (256, 256, 3)
        assert texture.dtype == np.uint8
        assert len(np.unique(texture.reshape(-1, 3), axis=0)) > 2


def test_pretraining_repeats_to_the_byte(tmp_path: Path) -> None:
    made = [pretrain_tiny.save(pretrain_tiny.train(_lessons(64), 1), tmp_path / f"{n}") for n in "ab"]
    assert made[0] == made[1]


def test_the_pupil_learns_what_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrain_tiny, "BATCH", 16)
    given = _lessons(64)
    net = pretrain_tiny.train(given, 8)
    with torch.inference_mode():
        said = net(given.pictures.float() / 127.5 - 1)[:, :3]
    unexplained = (said - given.features).square().mean() / given.features.square().mean()
    assert unexplained < 0.5


def test_the_card_is_what_the_file_is() -> None:
    file = Path(models.__file__).with_name("tiny.safetensors")
    told = pretrain_tiny.card(file, digest.of_file(file))
    for name, value in told.items():
        found = getattr(models.cards()["tiny"], name)
        assert (list(found) if isinstance(found, tuple) else found) == value, name
    assert file.stat().st_size <= 3_000_000


def test_the_default_weights_are_loaded_and_said_to_be_pretrained() -> None:
    default = backbone.create(BuildSpec(data="", model="tiny"), 5)
    random = backbone.create(BuildSpec(data="", model="tiny", weights="none"), 5)
    assert not default.notes
    assert random.notes
    shipped = weights.read(Path(models.__file__).with_name("tiny.safetensors"))
    torch.testing.assert_close(default.net.body.state_dict()["stem.0.weight"], shipped["stem.0.weight"])
    assert not torch.equal(random.net.body.state_dict()["stem.0.weight"], shipped["stem.0.weight"])


def test_the_file_says_its_own_normalisation_and_is_recognised() -> None:
    file = Path(models.__file__).with_name("tiny.safetensors")
    named = backbone.create(BuildSpec(data="", model="tiny", weights=str(file)), 5)
    assert named.preprocess == backbone.create(BuildSpec(data="", model="tiny"), 5).preprocess
    assert weights.match(file) == ["tiny"]


def test_other_default_weights_are_another_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = BuildSpec(data="", model="tiny")
    before = identity(spec)
    card = models.ModelCard(name="tiny", params=1, gmacs=0.1, image_size=64, weights="OTHER", signature="s")
    monkeypatch.setattr(models, "find", lambda _: card)
    assert identity(spec)["weights"] != before["weights"]


def test_a_teacher_of_another_architecture_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    save_file(Tiny(3).state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="is not tf_efficientnet_lite0"):
        pretrain_tiny.teacher(tmp_path / "other.safetensors")
