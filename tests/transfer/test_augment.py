"""A policy does what its record says, and the same for the same seed, epoch and picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch

from edgetl.runtime import preprocess as rule
from edgetl.transfer import augment
from edgetl.transfer.augment import Augmenter, Batches, normalise
from edgetl.transfer.policy import POLICIES, Augmentation, policy_for, policy_of
from edgetl.types import BuildSpec, Preprocess
from tests.data.pictures import folders, scene

RULE = Preprocess(height=32, width=32, mean=(0.5, 0.25, 0.75), std=(0.5, 0.5, 0.5))
NAMES = [f"{name}/{n}.png" for name in ("a", "b") for n in range(8)]
LABELS = [0] * 8 + [1] * 8


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folders(tmp_path_factory.mktemp("pictures"), {"a": 8, "b": 8})


def batches(root: Path, policy: Augmentation, seed: int = 0) -> Batches:
    return Batches(root, NAMES, LABELS, Augmenter(policy, RULE, 2), batch_size=8, seed=seed)


def shown(of: Batches, epoch: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    pictures, targets = zip(*of.epoch(epoch))
    return torch.cat(pictures), torch.cat(targets)


@pytest.mark.parametrize("name", POLICIES)
def test_a_seed_and_an_epoch_settle_everything_whatever_else_is_drawn(
    name: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = shown(batches(root, POLICIES[name]))
    torch.rand(1000)  # dropout, say
    monkeypatch.setattr(augment, "WORKERS", 1)
    kept = batches(root, POLICIES[name])
    shown(kept, 3)
    again = shown(kept)
    assert all(torch.equal(one, other) for one, other in zip(first, again))
    assert not torch.equal(first[0], shown(kept, 1)[0])
    assert not torch.equal(first[0], shown(batches(root, POLICIES[name], seed=1))[0])


def test_what_torch_draws_in_training_does_not_hang_on_the_pictures(root: Path) -> None:
    torch.manual_seed(0)
    expected = torch.rand(4)
    torch.manual_seed(0)
    shown(batches(root, POLICIES["strong"]))
    assert torch.equal(torch.rand(4), expected)


def test_none_shows_what_the_device_takes(root: Path) -> None:
    pictures, targets = shown(batches(root, POLICIES["none"]))
    whole = [rule.apply(np.asarray(cv2.imread(str(root / name)))[..., ::-1], RULE) for name in NAMES]
    found = {picture.permute(1, 2, 0).numpy().tobytes() for picture in pictures}
    assert found == {np.ascontiguousarray(picture).tobytes() for picture in whole}
    assert sorted(targets.tolist()) == LABELS


def test_nothing_is_mirrored_where_left_and_right_matter() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, :8] = 255
    for allowed in (True, False):
        augmenter = Augmenter(
            msgspec.structs.replace(policy_of("light", flip=allowed), least_area=1.0), RULE, 2
        )
        mirrored = sum(augmenter.square(image, [0, 0, n, 0])[0, -1, 0] == 255 for n in range(100))
        assert mirrored == pytest.approx(50, abs=20) if allowed else mirrored == 0
    assert not any(policy_of(name, flip=False).flip for name in POLICIES)


def test_strong_mixes_classes_into_shares_that_add_up(root: Path) -> None:
    pictures, shares = shown(batches(root, POLICIES["strong"]))
    assert shares.shape == (16, 2)
    assert torch.allclose(shares.sum(dim=1), torch.ones(16))
    assert ((shares > 0) & (shares < 1)).any()
    assert pictures.dtype == torch.float32
    assert pictures.min() >= 0
    assert pictures.max() <= 255


def test_what_a_teacher_answers_for_is_mixed_by_any_share() -> None:
    augmenter = Augmenter(policy_for(BuildSpec(data="", method="distill")), RULE, 2)
    batch = torch.stack([torch.full((3, 32, 32), 200 * n, dtype=torch.uint8) for n in range(2)])
    found = []
    for number in range(100):
        mixed, shares = augmenter.mix(batch, torch.arange(2), [0, 0, number])
        assert torch.allclose(mixed[:, 0, 0, 0] / 200, shares[:, 1], atol=1e-6)
        found.append(float(shares[0, 1]))
    quarters = np.histogram(found, bins=4, range=(0, 1))[0]
    assert quarters.min() >= 10


def test_without_a_teacher_and_without_augmentation_nothing_is_mixed() -> None:
    assert policy_for(BuildSpec(data="", method="full")) == POLICIES["default"]
    assert policy_for(BuildSpec(data="", method="rkd", augment="none")) == POLICIES["none"]


def test_cutmix_shares_are_the_areas(root: Path) -> None:
    augmenter = Augmenter(Augmentation(name="cut", cutmix=1.0), RULE, 2)
    batch = torch.stack([torch.full((3, 32, 32), 200 * (n % 2), dtype=torch.uint8) for n in range(8)])
    mixed, shares = augmenter.mix(batch, torch.arange(8) % 2, [0, 0, 0])
    assert torch.allclose((mixed[:, 0] == 200).float().mean(dim=(1, 2)), shares[:, 1], atol=1e-6)


def test_what_is_erased_is_normalised_to_zero() -> None:
    augmenter = Augmenter(Augmentation(name="erase", erase=1.0), RULE, 2)
    picture = torch.from_numpy(scene(1, side=32)).permute(2, 0, 1)
    erased = augmenter.vary(picture, [0])
    where = (erased != picture).any(dim=0)
    assert where.any()
    assert normalise(erased[None], RULE)[0, :, where].abs().max() < 0.005


@pytest.mark.parametrize("side", [32, 64])
def test_a_picture_of_few_pixels_is_moved_and_no_pixel_of_it_is_made_up(side: int) -> None:
    picture, size = scene(7, side=side), msgspec.structs.replace(RULE, height=side, width=side)
    augmenter = Augmenter(Augmentation(name="cut", least_area=0.35), size, 2)
    framed = np.full((2 * side, 2 * side, 3), [128, 64, 191], np.uint8)
    framed[side // 2 : -side // 2, side // 2 : -side // 2] = picture
    far = side // 8
    ways = set()
    for number in range(60):
        seen = augmenter.square(picture, [0, 0, number, 0])
        found = [
            (down, right)
            for down in range(-far, far + 1)
            for right in range(-far, far + 1)
            if np.array_equal(
                framed[side // 2 - down : 3 * side // 2 - down, side // 2 - right : 3 * side // 2 - right],
                seen,
            )
        ]
        assert len(found) == 1
        ways.add(found[0])
    for axis in range(2):
        assert min(way[axis] for way in ways) <= 1 - far and max(way[axis] for way in ways) >= far - 1


def test_a_picture_of_many_pixels_is_cut() -> None:
    half = np.zeros((96, 96, 3), np.uint8)
    half[:, 48:] = 255
    augmenter = Augmenter(Augmentation(name="cut", least_area=0.35), RULE, 2)
    shares = [augmenter.square(half, [0, 0, number, 0]).mean() / 255 for number in range(60)]
    assert max(shares) - min(shares) > 0.3, "moves by an eighth come to a quarter: nothing was enlarged"


def test_policies_are_data() -> None:
    for policy in POLICIES.values():
        assert msgspec.json.decode(msgspec.json.encode(policy), type=Augmentation) == policy
