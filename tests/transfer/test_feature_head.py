"""The head on frozen features: what INT8 leaves of it."""

from __future__ import annotations

import numpy as np
import pytest

from edgetl.transfer.methods.feature import fit_head, out_of_fold


def test_a_feature_that_hardly_moves_does_not_cost_the_others_their_int8_weights() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 10
    features = rng.normal(rng.normal(0, 1, (10, 32))[labels], 1.0)
    features[:, 0] = 1e-4 * rng.normal(labels, 1)
    plain = features.astype(np.float32)
    head = fit_head(plain, labels.astype(np.int64), 10, 0)
    step = np.abs(head.weight).max(axis=1, keepdims=True) / 127
    rounded = np.rint(head.weight / step) * step

    def right(weight: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
        return float(((plain @ weight.T + head.bias).argmax(axis=1) == labels).mean())

    assert right(head.weight) > 0.9
    assert right(rounded) > right(head.weight) - 0.02


def test_features_that_never_move_are_survived() -> None:
    head = fit_head(np.ones((20, 4), np.float32), np.arange(20) % 2, 2, 0)
    assert np.isfinite(head.weight).all()
    assert np.isfinite(head.bias).all()


def test_the_strength_is_chosen_on_folds_that_part_no_group() -> None:
    """Many pictures a lesion, labels that are noise: parting lesions, folds reward learning them by heart."""
    rng = np.random.default_rng(0)
    lesions = np.repeat(np.arange(40), 6)
    labels = np.repeat(rng.permutation(np.arange(40) % 2), 6).astype(np.int64)
    features = (rng.normal(0, 1, (40, 64))[lesions] + rng.normal(0, 0.1, (240, 64))).astype(np.float32)
    apart = fit_head(features, labels, 2, 0)
    whole = fit_head(features, labels, 2, 0, groups=lesions.astype(np.int64))
    assert max(apart.scores.values()) > 0.95, "the leak that groups are there for"
    assert max(whole.scores.values()) < 0.7


def test_a_class_of_one_group_takes_the_middle_strength() -> None:
    labels = np.array([0] * 6 + [1] * 6)
    groups = np.array([0, 1, 2, 3, 4, 5, 9, 9, 9, 9, 9, 9])
    head = fit_head(
        np.random.default_rng(0).normal(0, 1, (12, 4)).astype(np.float32), labels, 2, 0, groups=groups
    )
    assert head.scores == {}


@pytest.mark.parametrize(("informative", "chosen"), [(slice(0, 10), "all"), (slice(10, 20), "each")])
def test_features_keep_their_spread_where_it_tells_what_they_say(informative: slice, chosen: str) -> None:
    """Ten features vary ten times as much as the others; they tell two classes apart, or ten of the others do."""
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    features = rng.normal(0, 1, (80, 200))
    features[:, informative] += 1.2 * (labels - 0.5)[:, None]
    features[:, :10] *= 10
    head = fit_head(features.astype(np.float32), labels.astype(np.int64), 2, 0)
    assert head.scale == chosen
    others = [score for said, score in head.scores.items() if not said.endswith(chosen)]
    assert max(head.scores.values()) > max(others) + 0.03


def test_strengths_that_are_right_alike_are_told_apart_by_how_sure_they_are() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(20) % 2
    features = (rng.normal(0, 0.1, (20, 4)) + labels[:, None]).astype(np.float32)
    head = fit_head(features, labels.astype(np.int64), 2, 0)
    assert {head.scores[said] for said in ("0.01, all", "0.1, all", "1, all", "10, all")} == {1.0}
    assert head.strength >= 1, "rightly: none of these pictures is in doubt"


def test_a_probability_of_nothing_is_a_very_small_one() -> None:
    labels = (np.arange(40) % 2).astype(np.int64)
    features = np.where(labels, 1.0, -1.0)[:, None] * np.ones((40, 300), np.float32)
    features[0] *= -1e4
    _, told = out_of_fold(features.astype(np.float32), labels, 0)
    assert np.isfinite(told).all()
