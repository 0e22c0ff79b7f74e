"""The fused head compiled for the CPU: its arguments, its launch, and what it should answer."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl.ops.head import HeadArgs
from edgetl.ops.head_checks import FEATURES as DTYPES
from tests.kernels.on_host import compiled

__all__ = [
    "OK",
    "Answer",
    "Case",
    "HeadArgs",
    "Library",
    "arguments",
    "changed",
    "compile_for_host",
    "expected",
    "plain_float32",
    "random_case",
    "run",
    "spaced",
]

OK, NAN = 0, 10
GUARD = 64
"""Elements behind every output that must be as they were."""

Array = npt.NDArray[Any]
Library = ctypes.CDLL


@dataclass(frozen=True)
class Case:
    """A head and what it is given. Features are (N, C, H, W) whatever their strides say."""

    features: Array
    weights: Array
    bias: Array | None
    scale: float = 1.0
    top_k: int = 5
    layout: str = "NCHW"
    multiprocessors: int = 8


def changed(case: Case, name: str, values: Array) -> Case:
    """The same head with other features, weights or bias."""
    return Case(**{**vars(case), name: values})


@dataclass(frozen=True)
class Answer:
    """What a launch left behind."""

    indices: Array
    scores: Array
    probabilities: Array
    status: Array


def compile_for_host(place: Path) -> Library:
    """The kernel's headers with a CPU's machine under them, under the undefined-behaviour sanitizer."""
    library = ctypes.CDLL(str(compiled(place, "head_on_host.cpp", "undefined")))
    library.edgetl_status_text.restype = ctypes.c_char_p
    library.test_head_args_bytes.restype = ctypes.c_uint64
    return library


def arguments(case: Case) -> HeadArgs:
    """Everything but outputs and workspace."""
    batch, channels, height, width = case.features.shape
    size = case.features.itemsize
    strides = [stride // size for stride in case.features.strides]
    return HeadArgs(
        features=case.features.ctypes.data,
        weights=case.weights.ctypes.data,
        bias=None if case.bias is None else case.bias.ctypes.data,
        batch_stride=strides[0],
        channel_stride=strides[1],
        row_stride=strides[2],
        column_stride=strides[3],
        weight_stride=case.weights.strides[0] // case.weights.itemsize,
        batch=batch,
        channels=channels,
        height=height,
        width=width,
        classes=case.weights.shape[0],
        top_k=case.top_k,
        feature_dtype=DTYPES[case.features.dtype],
        weight_dtype=DTYPES[case.weights.dtype],
        layout=("NCHW", "NHWC").index(case.layout),
        multiprocessors=case.multiprocessors,
        feature_scale=case.scale,
    )


def guarded(shape: tuple[int, ...], dtype: type[np.int32] | type[np.float32]) -> Array:
    """Room for an output and its guard, full of a value that no head writes."""
    return np.full(int(np.prod(shape)) + GUARD, -77, dtype)


def run(
    library: Library,
    case: Case,
    *,
    order: int = 0,
    skipped_barrier: int = -1,
    launches: int = 1,
    spoil: Callable[[HeadArgs], None] = lambda args: None,
) -> tuple[int, Answer]:
    """Launch it; the code it returned, and the outputs. ``spoil`` changes arguments before the launch."""
    args = arguments(case)
    shapes = {
        "indices": (args.batch, args.top_k),
        "scores": (args.batch, args.top_k),
        "probabilities": (args.batch, args.classes),
        "status": (args.batch,),
    }
    whole = ("indices", "status")
    rooms = {
        name: guarded(shape, np.int32 if name in whole else np.float32) for name, shape in shapes.items()
    }
    for name, room in rooms.items():
        setattr(args, name, room.ctypes.data)
    needed = ctypes.c_uint64()
    assert library.edgetl_head_workspace(ctypes.byref(args), ctypes.byref(needed)) == OK
    workspace = np.zeros(needed.value + 64, np.uint8)
    workspace[needed.value :] = 77
    args.workspace, args.workspace_bytes = workspace.ctypes.data, needed.value
    spoil(args)
    codes = {library.test_head_launch(ctypes.byref(args), order, skipped_barrier) for _ in range(launches)}
    assert len(codes) == 1
    assert np.all(workspace[needed.value :] == 77)
    for name, room in rooms.items():
        assert np.all(room[-GUARD:] == -77), f"{name} was written behind its end"
    return codes.pop(), Answer(
        **{name: rooms[name][:-GUARD].reshape(shape) for name, shape in shapes.items()}
    )


def softmax(logits: Array) -> Array:
    """Over the last axis, in the type of the logits."""
    raised: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
    raised /= raised.sum(axis=-1, keepdims=True, dtype=logits.dtype)
    return raised


def expected(case: Case) -> Array:
    """Probabilities in float64."""
    means = case.features.astype(np.float64).mean(axis=(2, 3)) * np.float64(np.float32(case.scale))
    bias = 0.0 if case.bias is None else case.bias.astype(np.float64)
    return softmax(means @ case.weights.astype(np.float64).T + bias)


def plain_float32(case: Case) -> Array:
    """The same as loops would do it in float32: one sum after the other."""
    batch, channels = case.features.shape[:2]
    flat = case.features.astype(np.float32).reshape(batch, channels, -1)
    sums = np.add.accumulate(flat, axis=2, dtype=np.float32)[:, :, -1]
    means = sums * np.float32(case.scale / flat.shape[2])
    products = means[:, None, :] * case.weights.astype(np.float32)[None]
    logits = np.add.accumulate(products, axis=2, dtype=np.float32)[:, :, -1]
    return softmax(logits if case.bias is None else logits + case.bias)


def spaced(values: Array, order: tuple[int, ...], gaps: tuple[int, ...], offset: int) -> Array:
    """The same values in a larger, poisoned memory: axes from the outermost in ``order``, a gap behind each."""
    poison = 127 if values.dtype == np.int8 else np.nan
    shape = [values.shape[axis] + gap for axis, gap in zip(order, gaps)]
    room = np.full(int(np.prod(shape)) + offset + 16, poison, values.dtype)
    start = -room.ctypes.data // values.itemsize % (16 // values.itemsize) + offset
    memory = room[start : start + int(np.prod(shape))].reshape(shape)
    view: Array = memory.transpose(np.argsort(order))[tuple(slice(size) for size in values.shape)]
    view[...] = values
    return view


def random_case(
    rng: np.random.Generator,
    shape: tuple[int, int, int, int],
    classes: int,
    *,
    dtype: str = "float32",
    weights: str = "float32",
    layout: str = "NCHW",
    gaps: tuple[int, int, int, int] = (0, 0, 0, 0),
    weight_gap: int = 0,
    offset: int = 0,
    top_k: int = 5,
    multiprocessors: int = 8,
) -> Case:
    """Features as after a ReLU, weights that spread the logits over a few units."""
    channels = shape[1]
    ideal = np.maximum(rng.standard_normal(shape), 0) * rng.uniform(0.1, 3, (1, channels, 1, 1))
    scale = float(np.float32(9 / 127)) if dtype == "int8" else 1.0
    stored = np.clip(np.rint(ideal / scale), -128, 127) if dtype == "int8" else ideal
    matrix = rng.standard_normal((classes, channels)) * (2 / np.sqrt(channels))
    axes = (0, 1, 2, 3) if layout == "NCHW" else (0, 2, 3, 1)
    return Case(
        features=spaced(stored.astype(dtype), axes, gaps, offset),
        weights=spaced(matrix.astype(weights), (0, 1), (0, weight_gap), offset),
        bias=rng.standard_normal(classes).astype(np.float32),
        scale=scale,
        top_k=min(top_k, classes),
        layout=layout,
        multiprocessors=multiprocessors,
    )
