"""Which way each weight is rounded: by what the layer then answers, not by what is nearest."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["LEVELS", "PAIR", "nearest", "round_weights"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int8]

LEVELS = 127
"""Largest magnitude of a weight's integer: -128 is left out, as symmetric weights do."""
PAIR = 128
"""What two neighbouring weights of one sign may sum to where products are added in 16 bits: 128 * 255 < 2**15."""
_DAMPING = 0.01
_BLOCK = 64


def nearest(weights: npt.NDArray[np.floating], scale: npt.NDArray[np.floating]) -> Integers:
    """Each weight on the integer next to it, ties to even.

    Parameters
    ----------
    weights : any shape. scale : broadcasts against it.
    """
    return np.clip(np.rint(weights / scale), -LEVELS, LEVELS).astype(np.int8)


def round_weights(weights: Floats, gram: Floats, scale: Floats, *, pair_step: int = 0) -> Integers:
    """Integers whose layer answers like the float one on what it reads: least ``|| (W - s Q) X ||``.

    One column is rounded after the other, and the error of each is made good by the columns that are still to come.
    An output channel that would answer worse than with the nearest integers keeps those.

    Parameters
    ----------
    weights : (G, O, K), the O output channels of G groups over K inputs each.
    gram : (G, K, K), ``X X'`` of what each group reads, up to a factor.
    scale : (G, O), greater than zero.
    pair_step : where products of neighbouring channels are added in 16 bits (processors without VNNI), the distance
        of such neighbours in K, so that no pair of one sign sums to more than ``PAIR``; 0 where they are not.

    Returns
    -------
    (G, O, K) int8 within [-127, 127].

    Notes
    -----
    GPTQ: Frantar et al. 2022 (arXiv:2210.17323), algorithm 1, in natural order and with its damping of 1 % of the
    gram's mean diagonal. The objective is that of AdaRound (Nagel et al. 2020, arXiv:2004.10568, equation 20).
    """
    groups, outputs, inputs = weights.shape
    step = _inverse_root(gram)
    left, steps = weights.copy(), scale[:, :, None]
    found = np.zeros((groups, outputs, inputs))
    for first in range(0, inputs, _BLOCK):
        last = min(first + _BLOCK, inputs)
        errors = np.zeros((groups, outputs, last - first))
        for k in range(first, last):
            column = np.clip(np.rint(left[:, :, k : k + 1] / steps), -LEVELS, LEVELS)
            if pair_step and (k // pair_step) % 2:
                column = _within_pair(column, found[:, :, k - pair_step, None])
            found[:, :, k : k + 1] = column
            error = (left[:, :, k : k + 1] - column * steps) / step[:, k, None, k : k + 1]
            left[:, :, k:last] -= error * step[:, k, None, k:last]
            errors[:, :, k - first] = error[:, :, 0]
        left[:, :, last:] -= errors @ step[:, first:last, last:]
    return _closer(weights, gram, steps, found, _nearest(weights, steps, pair_step)).astype(np.int8)


def _closer(weights: Floats, gram: Floats, steps: Floats, found: Floats, plain: Floats) -> Floats:
    """Of each output channel the integers that answer closer: with few inputs, what is made good may be lost again."""

    def loss(integers: Floats) -> Floats:
        error = weights - integers * steps
        return np.asarray(np.einsum("gok,gok->go", error @ gram, error))

    return np.where((loss(found) <= loss(plain))[:, :, None], found, plain)


def _nearest(weights: Floats, steps: Floats, pair_step: int) -> Floats:
    """The nearest integers, within pairs where products are added in 16 bits."""
    plain: Floats = nearest(weights, steps).astype(np.float64)
    for k in range(pair_step, weights.shape[2]) if pair_step else ():
        if (k // pair_step) % 2:
            plain[:, :, k] = _within_pair(plain[:, :, k], plain[:, :, k - pair_step])
    return plain


def _within_pair(column: Floats, partner: Floats) -> Floats:
    """A column cut so that with its neighbour it sums to no more than ``PAIR`` where both have one sign."""
    column = np.where((partner > 0) & (column > 0), np.minimum(column, PAIR - partner), column)
    return np.where((partner < 0) & (column < 0), np.maximum(column, -PAIR - partner), column)


def _inverse_root(gram: Floats) -> Floats:
    """Upper Cholesky factor of the damped gram's inverse, (G, K, K)."""
    damped = gram.astype(np.float64)
    diagonal = np.einsum("gkk->gk", damped)
    mean = diagonal.mean(axis=1, keepdims=True)
    silent = diagonal <= 0  # an input that was always zero: any rounding of its weights serves
    diagonal += np.where(silent, 1.0, _DAMPING * mean)
    root: Floats = np.linalg.cholesky(np.linalg.inv(damped)).swapaxes(1, 2)
    return root
