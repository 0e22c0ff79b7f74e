"""The head on frozen features: what INT8 leaves of it."""

from __future__ import annotations

import numpy as np

from edgetl.transfer.methods.feature import fit_head


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
