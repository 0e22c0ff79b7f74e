"""Augmentation policies: how training pictures are varied, as data that travels with what was trained by them."""

from __future__ import annotations

import msgspec

from edgetl.transfer.methods.known import TAUGHT
from edgetl.types import BuildSpec, Record

__all__ = ["POLICIES", "Augmentation", "alike_at_any_size", "policy_for", "policy_of"]


class Augmentation(Record, frozen=True, kw_only=True):
    """What is done to a training picture, in this order; what is 0 or false is left out.

    Attributes
    ----------
    least_area : a square of so much of the picture or more, cut at random (Szegedy et al. 2015, arXiv:1409.4842); 1 is
        the centre square that the device takes. Below 1, a picture of few pixels is moved instead.
    flip : half of them are mirrored left-right.
    jitter : brightness, contrast and saturation are moved by up to so much.
    operations, magnitude : RandAugment (Cubuk et al. 2020, arXiv:1909.13719): so many operations, of 0 to 30.
    erase : chance that a rectangle is erased (Zhong et al. 2020, arXiv:1708.04896).
    mixup, cutmix : alpha of mixing batches (Zhang et al. 2018, arXiv:1710.09412; Yun et al. 2019, arXiv:1905.04899);
        where both are set, each batch is mixed in one of the ways. Targets become shares of classes.
    """

    name: str
    least_area: float = 1.0
    flip: bool = False
    jitter: float = 0.0
    operations: int = 0
    magnitude: int = 0
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0


POLICIES = {
    policy.name: policy
    for policy in (
        Augmentation(name="none"),
        Augmentation(name="light", least_area=0.7, flip=True),
        Augmentation(name="default", least_area=0.35, flip=True, jitter=0.2),
        Augmentation(
            name="strong",
            least_area=0.35,
            flip=True,
            operations=2,
            magnitude=9,
            erase=0.25,
            mixup=0.2,
            cutmix=1.0,
        ),
    )
}

MIXED = 1.0
"""Alpha by which every share is as likely as another."""


def policy_of(name: str, *, flip: bool) -> Augmentation:
    """A policy by its name; ``flip`` false forbids mirroring, where left and right mean something."""
    policy = POLICIES[name]
    return msgspec.structs.replace(policy, flip=policy.flip and flip)


def policy_for(spec: BuildSpec) -> Augmentation:
    """What the method of a request trains by.

    A teacher also knows what lies between two pictures, which labels do not: every batch that one answers is mixed by
    any share, so that few pictures teach more than what is learnt by heart (Beyer et al. 2022, arXiv:2106.05237).
    ``none`` stays without.
    """
    policy = policy_of(spec.augment, flip=spec.flip)
    mixes = spec.method in TAUGHT and policy != POLICIES["none"]
    return msgspec.structs.replace(policy, mixup=MIXED) if mixes else policy


def alike_at_any_size(policy: Augmentation) -> Augmentation:
    """The policy without rectangles, whose corners are whole pixels: two sizes of a picture would lose other parts."""
    return msgspec.structs.replace(policy, erase=0.0, cutmix=0.0)
