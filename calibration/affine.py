"""From a range to the scale and zero point of an 8-bit integer."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Dtype", "affine", "limits", "weight_scale"]

Dtype = Literal["int8", "uint8"]
_LEAST = np.float32(2.0**-100)
"""Scale of a tensor that is zero throughout: any would do, this one cannot make an infinity."""


def limits(dtype: Dtype, *, symmetric: bool) -> tuple[int, int]:
    """Smallest and largest integer that is used; a symmetric signed one leaves out -128.

    >>> limits("int8", symmetric=True)
    (-127, 127)
    """
    if dtype == "uint8":
        return 0, 255
    return (-127, 127) if symmetric else (-128, 127)


def affine(low: float, high: float, dtype: Dtype, *, symmetric: bool) -> tuple[np.float32, int]:
    """Scale and zero point whose integers cover ``[low, high]``, with zero exactly on one of them.

    Jacob et al. 2018 (arXiv:1712.05877), section 2.1. The range is first extended to hold zero, then, for the
    zero point to be an integer, moved by less than half a step.

    Parameters
    ----------
    low, high : finite, ``low <= high``.
    symmetric : zero point 0 for int8; for uint8 the range must not reach below zero.

    Returns
    -------
    scale (> 0, tensor units for each integer step) and zero point.

    Raises
    ------
    ValueError : the range is not finite or upside down; a symmetric uint8 range below zero.

    >>> affine(0.0, 25.5, "uint8", symmetric=False)
    (np.float32(0.1), 0)
    """
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ValueError(f"[{low}, {high}] is not a range")
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    least, largest = limits(dtype, symmetric=symmetric)
    if symmetric:
        if dtype == "uint8" and low < 0:
            raise ValueError(f"uint8 with zero point 0 cannot hold {low}")
        return _positive(max(-low, high) / largest), 0
    scale = _positive((high - low) / (largest - least))
    zero = least - low / float(scale)
    return scale, int(np.clip(np.rint(zero), least, largest))


def weight_scale(
    weights: npt.NDArray[Any], axis: int, *, reduce_range: bool = False
) -> npt.NDArray[np.float32]:
    """Symmetric scales of weights, one for each entry of ``axis``.

    Parameters
    ----------
    weights : finite floats of any rank.
    reduce_range : use -64..64: on a processor without VNNI the sum of two products of 8 bits is kept in 16
        bits and saturates with full-range weights.

    Returns
    -------
    (C,) float32, greater than zero, also for a channel of zeros.
    """
    others = tuple(i for i in range(weights.ndim) if i != axis % weights.ndim)
    largest = 64 if reduce_range else 127
    absmax = np.abs(weights.astype(np.float64)).max(axis=others)
    scales: npt.NDArray[np.float32] = np.maximum((absmax / largest).astype(np.float32), _LEAST)
    return scales


def _positive(scale: float) -> np.float32:
    return max(np.float32(scale), _LEAST)
