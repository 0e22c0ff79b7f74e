"""How far ranges would move: held against the spread of ranges over draws that were really made."""

from __future__ import annotations

import math
from collections import Counter
from itertools import islice

import numpy as np
import pytest
from edgetl.calibration import ranges
from edgetl.calibration.range_stats import RangeStats
from edgetl.calibration.stability import GROUPS, deal, movement


def draw(samples: int, rng: np.random.Generator) -> list[RangeStats]:
    """Groups of samples of 64 values whose spread differs from sample to sample."""
    groups = [RangeStats() for _ in range(GROUPS)]
    for group, size in zip(deal(), rng.lognormal(0, 0.3, samples)):
        groups[group].update((size * rng.normal(size=(1, 1, 64))).astype(np.float32))
    return groups


@pytest.mark.parametrize("method", ["average", "percentile"])
def test_the_movement_is_that_between_two_draws(method: str) -> None:
    rng = np.random.default_rng(0)
    find = ranges.find(method)
    told, ends, widths = [], [], []
    for _ in range(60):
        groups = draw(64, rng)
        whole = RangeStats()
        for group in groups:
            whole.merge(group)
        low, high = find(whole)
        ends.append((low, high))
        widths.append(high - low)
        told.append(movement(groups, find))
    true = math.sqrt(2) * float(np.std(ends, axis=0).mean() / np.mean(widths))
    assert float(np.mean([share for share in told if share is not None])) == pytest.approx(true, rel=0.4)


def test_more_samples_move_less() -> None:
    rng = np.random.default_rng(1)
    few, many = (
        np.mean([movement(draw(samples, rng), ranges.average) or 0.0 for _ in range(10)])
        for samples in (16, 256)
    )
    assert many < few / 2


def test_samples_that_are_all_alike_do_not_move() -> None:
    groups = [RangeStats() for _ in range(GROUPS)]
    for group in islice(deal(), 32):
        groups[group].update(np.linspace(-1, 2, 50, dtype=np.float32).reshape(1, 1, 50))
    assert movement(groups, ranges.mse) == 0.0


def test_too_few_samples_tell_nothing() -> None:
    assert movement(draw(GROUPS - 1, np.random.default_rng(0)), ranges.minmax) is None


def test_zeros_alone_do_not_move() -> None:
    groups = [RangeStats() for _ in range(GROUPS)]
    for group in groups:
        group.update(np.zeros((1, 1, 4), np.float32))
    assert movement(groups, ranges.mse) == 0.0


@pytest.mark.parametrize("classes", [2, 3, 7, 8, 10])
def test_classes_that_come_by_turns_are_spread_over_the_groups(classes: int) -> None:
    seen = [Counter[int]() for _ in range(GROUPS)]
    for sample, group in enumerate(islice(deal(), 8000)):
        seen[group][sample % classes] += 1
    fair = 8000 / GROUPS / classes
    assert all(0.7 * fair < counts[label] < 1.4 * fair for counts in seen for label in range(classes))
    assert {sum(counts.values()) for counts in seen} == {8000 // GROUPS}
