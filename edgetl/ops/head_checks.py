"""What a fused head can be made of; the launcher and its twin in numpy refuse the rest alike."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, Protocol

import numpy as np

from edgetl.errors import InputError
from edgetl.ops.device import check_array

__all__ = ["FEATURES", "WEIGHTS", "check", "check_linear"]

MAX_TOP_K, MAX_BATCH, MAX_PIXELS = 32, 65535, 1 << 24
"""EDGETL_HEAD_MAX_* of edgetl_head.h."""
MAX_INT32 = (1 << 31) - 1
FEATURES = {np.dtype(np.float32): 0, np.dtype(np.float16): 1, np.dtype(np.int8): 2}
"""``edgetl_dtype`` by numpy's."""
WEIGHTS = {np.dtype(np.float32): 0, np.dtype(np.float16): 1}


class _Shaped(Protocol):
    """An array of numpy or of a GPU, as far as checks look at it."""

    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def strides(self) -> tuple[int, ...]: ...


def check(
    features: _Shaped, weights: _Shaped, bias: _Shaped | None, *, top_k: int, scale: float | None
) -> None:
    """Refuse what no head can be made of.

    Raises
    ------
    InputError : a dtype, a size, ``top_k`` or ``scale``, with what is taken instead.
    """
    _check_features(features)
    check_linear(weights, bias, top_k=top_k, scale=scale)
    if weights.shape[1] != features.shape[1]:
        raise InputError(
            f"weights are for {weights.shape[1]} channels, and features have {features.shape[1]}",
            hint="(classes, C), (N, C, H, W)",
        )
    if (features.dtype == np.int8) != (scale is not None):
        raise InputError(
            f"features are {features.dtype} and scale is {scale}: a scale belongs to int8 features, and to them alone",
            hint="scale is the feature value of one integer step",
        )


def check_linear(weights: _Shaped, bias: _Shaped | None, *, top_k: int, scale: float | None) -> None:
    """Refuse what no head can be made of, whatever its features.

    Raises
    ------
    InputError : a dtype, a size, ``top_k`` or ``scale``, with what is taken instead.
    """
    _check_weights(weights, bias)
    classes = weights.shape[0]
    most = min(classes, MAX_TOP_K)
    if not (_is_whole(top_k) and 1 <= top_k <= most):
        raise InputError(
            f"top_k {top_k!r} of {classes} classes: it is a whole number from 1 to {most}",
            hint=f"the kernel ranks at most {MAX_TOP_K}; the probabilities of all classes are there too",
        )
    if scale is not None and not _is_scale(scale):
        raise InputError(
            f"scale {scale!r} is not a float32 above 0 and finite", hint="it is amax / 127 of the features"
        )


def _is_whole(number: object) -> bool:
    return isinstance(number, Integral)


def _is_scale(scale: object) -> bool:
    if not isinstance(scale, Real):
        return False
    with np.errstate(over="ignore"):  # then it is infinite
        stored = np.float32(scale)
    return bool(stored > 0 and np.isfinite(stored))


def _check_features(features: _Shaped) -> None:
    check_array("features", features)
    if features.dtype not in FEATURES or len(features.shape) != 4:
        raise InputError(
            f"features are {features.dtype} {features.shape}; the head reads float32, float16 or int8 (N, C, H, W)",
            hint="the feature map before the pool; NHWC memory is (N, C, H, W) with other strides",
        )
    batch, channels, height, width = features.shape
    if min(features.shape) < 1 or channels > MAX_INT32:
        raise InputError(
            f"features are {features.shape}: every size is from 1 to {MAX_INT32}", hint="N, C, H, W"
        )
    if batch > MAX_BATCH or height * width > MAX_PIXELS:
        raise InputError(
            f"features are {features.shape}: a batch is at most {MAX_BATCH}, a plane {MAX_PIXELS} pixels",
            hint="split the batch, or shrink the map before",
        )


def _check_weights(weights: _Shaped, bias: _Shaped | None) -> None:
    check_array("weights", weights)
    if weights.dtype not in WEIGHTS or len(weights.shape) != 2:
        raise InputError(
            f"weights are {weights.dtype} {weights.shape}; the head reads float32 or float16 (classes, C)",
            hint="as a linear layer keeps them",
        )
    classes = weights.shape[0]
    if not 1 <= classes <= MAX_INT32:
        raise InputError(
            f"weights are of {classes} classes: it takes from 1 to {MAX_INT32}", hint="(classes, C)"
        )
    if bias is None:
        return
    check_array("bias", bias)
    if bias.dtype != np.float32 or bias.shape != (classes,):
        raise InputError(
            f"bias is {bias.dtype} {bias.shape}; the head reads float32 ({classes},)", hint="one a class"
        )
