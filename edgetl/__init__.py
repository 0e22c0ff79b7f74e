"""From a folder of labelled pictures to a verified INT8 engine for an edge device.

>>> import edgetl
>>> result = edgetl.build(data="./images", device="intel-cpu")        # doctest: +SKIP
>>> edgetl.load(result.bundle).predict(frame).label                   # doctest: +SKIP
'bees'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetl.errors import (
    BackendError,
    BundleError,
    Cancelled,
    EdgetlError,
    EnvironmentLacks,
    GateFailed,
    Inconclusive,
    InputError,
    NotComparable,
)

if TYPE_CHECKING:
    from edgetl.recipe import build as build
    from edgetl.runtime import load as load
    from edgetl.runtime.bundle import Bundle as Bundle

__all__ = [
    "BackendError",
    "Bundle",
    "BundleError",
    "Cancelled",
    "EdgetlError",
    "EnvironmentLacks",
    "GateFailed",
    "Inconclusive",
    "InputError",
    "NotComparable",
    "build",
    "load",
]

__version__: str

_LAZY = {
    "Bundle": "edgetl.runtime.bundle:Bundle",
    "build": "edgetl.recipe:build",
    "load": "edgetl.runtime:load",
}


def __getattr__(name: str) -> Any:
    """Resolve the heavy names on first use, so that importing the package costs nothing."""
    if name == "__version__":
        from importlib.metadata import version

        return version("edgetl")
    if name not in _LAZY:
        raise AttributeError(f"module 'edgetl' has no attribute {name!r}")
    from importlib import import_module

    module, _, attribute = _LAZY[name].partition(":")
    return getattr(import_module(module), attribute)
