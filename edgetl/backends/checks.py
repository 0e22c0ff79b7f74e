"""What every backend refuses, and how its vendor's words are told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl.errors import InputError, NotComparable
from edgetl.types import Engine, TensorSpec

__all__ = ["check_inputs", "check_stamp", "noise", "refuse_options", "without_paths"]

Array = npt.NDArray[Any]


def check_inputs(specs: Sequence[TensorSpec], inputs: Mapping[str, Array]) -> None:
    """Refuse what a vendor would cast or broadcast without a word.

    Strides are free: an array is copied into a buffer of the request's own.

    Raises
    ------
    InputError : a name is missing or unknown, or a dtype or shape is not the engine's.
    """
    if len(inputs) != len(specs) or any(spec.name not in inputs for spec in specs):
        raise InputError(
            f"inputs are {sorted(inputs)}, the engine takes {sorted(spec.name for spec in specs)}",
            hint="edgetl inspect BUNDLE lists them",
        )
    for spec in specs:
        array = inputs[spec.name]
        if array.dtype == spec.dtype and _fits(array.shape, spec.shape):
            continue
        raise InputError(
            f"input {spec.name!r} is {array.dtype} {_shown(array.shape)},"
            f" the engine takes {spec.dtype} {_shown(spec.shape)}",
            hint="pixels from 0 to 255, not scaled"
            if spec.dtype == "uint8"
            else "nothing is cast: convert it first",
        )


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return shape == wanted or (
        len(shape) == len(wanted) and all(want in (None, got) for got, want in zip(shape, wanted))
    )


def _shown(shape: Sequence[int | None]) -> str:
    return "(" + ", ".join("any" if dim is None else str(dim) for dim in shape) + ")"


def check_stamp(engine: Engine, library: str, here: str) -> None:
    """Refuse an engine of another release: what it loses and how fast it is was measured with its own.

    A release is the first two numbers of a version (``2026.4`` of ``2026.4.1``).

    Raises
    ------
    NotComparable : it was built with another release, or with one it does not name.
    """
    built = engine.built_with.get(library, "unknown")
    if _release(built) != _release(here):
        raise NotComparable(
            f"the engine was built with {library} {built}, this host has {here}",
            hint=f"pip install '{library}=={_release(built)}.*', or edgetl build again with this release",
            built_with=built,
            found=here,
        )


def _release(version: str) -> str:
    return ".".join(version.split(".")[:2])


def refuse_options(backend: str, options: Mapping[str, object]) -> None:
    """For a backend that has no options: one that is given would be passed over without a word.

    Raises
    ------
    InputError : there is one.
    """
    if options:
        raise InputError(
            f"the {backend} backend has no options, {', '.join(options)} is given",
            hint="options in a profile, and --backend-option, are for a profile whose backend has some",
        )


def without_paths(words: str) -> str:
    """A vendor's message on one line, folders cut off its file names.

    >>> without_paths('Cannot load library "/opt/x/libgpu.so": no')
    'Cannot load library "libgpu.so": no'
    """
    return re.sub(r"/(?:[^\s\"':,/]+/)+", "", " ".join(words.split()))


def noise(spec: TensorSpec) -> Array:
    """An input to profile with; zeros would make kernels that skip zeros look fast.

    Returns
    -------
    Array of the spec's dtype and shape (a free axis is 1), pixels from 0 to 255 or values from 0 to 1.
    """
    values = np.random.default_rng(0).integers(0, 256, [1 if dim is None else dim for dim in spec.shape])
    return values.astype(spec.dtype) if spec.dtype == "uint8" else (values / 255).astype(spec.dtype)
