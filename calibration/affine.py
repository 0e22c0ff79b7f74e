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
    weights : finite floats, (O, I, ...) or (I, O, ...).
    axis : the one of the output channels, 0 or 1.
    reduce_range : for a processor without VNNI. It multiplies bytes by ``vpmaddubsw``, which adds the products of two
        neighbouring input channels in 16 bits: 255 times two full-range weights of one sign saturates. A channel's
        scale is widened just so far that no such pair can; depthwise weights have no pairs and keep their range.

    Returns
    -------
    (O,) float32, greater than zero, also for a channel of zeros.

    Notes
    -----
    That pairs are the input channels 2k and 2k + 1 at one position was measured on OpenVINO 2026.4 (oneDNN's AVX2
    convolutions, 1 x 1 and k x k, and matrix products) and on ONNX Runtime 1.31 (matrix products). The customary
    remedy, half the range for every weight, gives away one bit everywhere.

    >>> weights = np.float32([[127, 1], [127, 127]])
    >>> weight_scale(weights, 0, reduce_range=True).round(3)
    array([1.008, 2.   ], dtype=float32)
    """
    by_output = np.moveaxis(weights.astype(np.float64), axis, 0).reshape(weights.shape[axis], -1)
    largest = np.abs(by_output).max(axis=1)
    if reduce_range:
        largest = np.maximum(largest, _pair_sums(weights, axis))
    scales: npt.NDArray[np.float32] = np.maximum((largest / 127).astype(np.float32), _LEAST)
    return scales


def _pair_sums(weights: npt.NDArray[Any], axis: int) -> npt.NDArray[np.float64]:
    """The largest sum of one sign over two neighbouring input channels, for each output channel.

    Rounding adds at most half a step to each weight: two that sum to 127 steps become at most 128, and
    128 * 255 < 2**15.
    """
    channels = np.moveaxis(weights.astype(np.float64), axis, 0)
    if channels.ndim < 2:
        return np.abs(channels)
    if channels.shape[1] % 2:
        channels = np.concatenate([channels, np.zeros_like(channels[:, :1])], axis=1)
    even, odd = channels[:, 0::2], channels[:, 1::2]
    positive = np.maximum(even, 0) + np.maximum(odd, 0)
    negative = np.maximum(-even, 0) + np.maximum(-odd, 0)
    sums: npt.NDArray[np.float64] = np.maximum(positive, negative).reshape(len(channels), -1).max(axis=1)
    return sums


def _positive(scale: float) -> np.float32:
    return max(np.float32(scale), _LEAST)
