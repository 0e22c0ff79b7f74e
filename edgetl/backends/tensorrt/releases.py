"""Every difference between releases of TensorRT: what one of them lacks is asked for here, by its name.

A release is told by what it has, not by its number; the numbers of its enumerations mean something else in each.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import Any

import tensorrt as trt

from edgetl.errors import EnvironmentLacks

__all__ = [
    "dtype_name",
    "hardware_level",
    "is_typed",
    "load_plugin",
    "network_flags",
    "node_of",
    "set_precision",
    "version",
]

TYPED_FROM = (10, 12)
"""Strong typing is there from 10.0, and complete from here on by NVIDIA's own account."""
NAMESPACE = "edgetl"
"""Of our plugins."""
DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}
"""``trt.nptype`` of 8.6 asks numpy for names that it no longer has."""


def version() -> tuple[int, ...]:
    """The release, as numbers: 10.12 is after 10.3."""
    return tuple(int(part) for part in trt.__version__.split(".") if part.isdecimal())


def is_typed(precision: str) -> bool:
    """Whether the graph's own types hold, so that flags of the builder say nothing.

    ``default`` is FP16 by a flag wherever there is one.
    """
    if not hasattr(trt.BuilderFlag, "FP16"):
        return True
    return version() >= TYPED_FROM and precision != "default"


def network_flags(*, typed: bool) -> int:
    """What a network is made with; nothing where every network has its batch in its shapes, and its graph's types."""
    flags = trt.NetworkDefinitionCreationFlag
    if not hasattr(flags, "EXPLICIT_BATCH"):
        return 0
    if typed and hasattr(flags, "STRONGLY_TYPED"):
        return 1 << int(flags.EXPLICIT_BATCH) | 1 << int(flags.STRONGLY_TYPED)
    return 1 << int(flags.EXPLICIT_BATCH)


def set_precision(config: trt.IBuilderConfig, precision: str, *, typed: bool) -> None:
    """What may be computed in: flags where types are weak; in f32, never TF32, which has ten bits of it.

    A quantized graph has FP16 beside INT8, or what is not quantized would run in float32.
    """
    if precision == "f32":
        config.clear_flag(trt.BuilderFlag.TF32)
        return
    if typed:
        return
    if hasattr(trt.BuilderFlag, "FP16"):
        config.set_flag(trt.BuilderFlag.FP16)
    if precision == "int8" and hasattr(trt.BuilderFlag, "INT8"):
        config.set_flag(trt.BuilderFlag.INT8)


def hardware_level(wanted: str) -> trt.HardwareCompatibilityLevel:
    """Which other GPUs an engine is for.

    Raises
    ------
    EnvironmentLacks : this release cannot.
    """
    levels = trt.HardwareCompatibilityLevel
    if wanted == "none":
        return levels.NONE
    if wanted == "ampere+":
        return levels.AMPERE_PLUS
    if hasattr(levels, "SAME_COMPUTE_CAPABILITY"):
        return levels.SAME_COMPUTE_CAPABILITY
    raise EnvironmentLacks(
        f"TensorRT {trt.__version__} has no hardwareCompatibilityLevel {wanted}",
        hint="it has none and ampere+",
    )


def node_of(error: trt.ParserError) -> str:
    """The node that a parser error is about: by name where the release tells it, else by its place."""
    if hasattr(error, "node_name") and hasattr(error, "node_operator"):
        return f"{error.node_operator()} {error.node_name()!r}"
    return f"node {error.node()}"


def load_plugin(library: str, name: str, number: str) -> None:
    """Load a plugin's library, which registers it.

    It is not linked to a release: it finds TensorRT's registry among the process's own symbols, where a library that
    Python loaded is not unless it is asked for.

    Parameters
    ----------
    name, number : the plugin's, and its version.

    Raises
    ------
    EnvironmentLacks : it does not load, or what it registers is another plugin.
    """
    with contextlib.suppress(OSError):  # a TensorRT of another name: then the library has to be linked to it
        ctypes.CDLL(f"libnvinfer.so.{version()[0]}", mode=os.RTLD_NOLOAD | os.RTLD_GLOBAL)
    mend = f"build it again with the headers of TensorRT {trt.__version__}"
    try:
        ctypes.CDLL(library)
    except OSError as error:
        raise EnvironmentLacks(f"the plugin's library does not load: {error}", hint=mend) from error
    registry = trt.get_plugin_registry()
    if hasattr(registry, "get_creator"):
        found = registry.get_creator(name, number, NAMESPACE)
    else:
        found = registry.get_plugin_creator(name, number, NAMESPACE)
    if found is None:
        raise EnvironmentLacks(
            f"the library registers no {name} {number} with TensorRT {trt.__version__}", hint=mend
        )


def dtype_name(dtype: Any) -> str:
    """numpy's name of an element type; TensorRT's own where numpy has none."""
    name = str(dtype).rpartition(".")[2]
    return DTYPES.get(name, name.lower())
