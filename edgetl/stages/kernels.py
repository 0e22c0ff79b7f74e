"""kernels: what a device without a compiler needs of ``kernels/``, as far as this host can make it."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edgetl import digest
from edgetl.backends.tensorrt import options as tensorrt_options
from edgetl.backends.tensorrt import plugin
from edgetl.devices import DeviceProfile
from edgetl.errors import BackendError, EnvironmentLacks
from edgetl.home import cache_folder
from edgetl.ops import cubin, library, nvcc
from edgetl.ops.shipped import CUBIN, FOLDER, RECORD, Head, Plugin, Shipped
from edgetl.pipeline import Artifact, Context, Stage

__all__ = ["NAME", "stage"]

NAME = "kernels"
SOURCE = "fused_head"
T = TypeVar("T")


def stage(profile: DeviceProfile, machine: str) -> Stage:
    """The fused head's device code, and TensorRT's plugin: given, or compiled where that makes one for ``machine``.

    What cannot be made is no failure: the record says why, and the build says what to do.
    """
    capability = profile.facts.compute_capability
    given = tensorrt_options.read(profile.options).plugin

    def run(inputs: Mapping[str, Artifact], out: Path, ctx: Context) -> Mapping[str, Any]:
        folder = out / FOLDER
        folder.mkdir()
        lacks: dict[str, str] = {}
        head = _tried(lambda: _head(capability, folder), CUBIN, lacks)
        ctx.advance(1, 2)
        brought = _tried(lambda: _plugin(given, capability, machine, folder), plugin.LIBRARY, lacks)
        made = Shipped(capability=capability, head=head, plugin=brought, lacks=lacks)
        (folder / RECORD).write_bytes(digest.canonical_json(made))
        return {"summary": _summary(made), **msgspec.to_builtins(made)}

    options = {
        "capability": capability,
        "machine": machine,
        "plugin": digest.of_file(Path(given)) if given else None,
        "sources": digest.of_tree(library.sources())[0],
    }
    return Stage(NAME, 1, (), options, _tools(), run)


def _summary(made: Shipped) -> str:
    """Which files there are; why others are not is a note of the build."""
    there = {CUBIN: made.head, plugin.LIBRARY: made.plugin}
    listed = ", ".join(name if one is not None else f"no {name}" for name, one in there.items())
    return f"{listed} for compute capability {made.capability or 'unknown'}"


def _tried(make: Callable[[], T], name: str, lacks: dict[str, str]) -> T | None:
    """What ``make`` makes; a compiler that refuses is no lack."""
    try:
        return make()
    except BackendError:
        raise
    except EnvironmentLacks as error:
        lacks[name] = error.problem
        return None


def _head(capability: str | None, folder: Path) -> Head:
    if capability is None:
        raise EnvironmentLacks("the profile names no compute capability")
    compiler = nvcc.find()
    names = nvcc.compile_cubin(compiler, library.sources(), SOURCE, capability, folder / CUBIN)
    return Head(
        sha256=digest.of_file(folder / CUBIN),
        abi=library.ABI,
        toolkit=compiler.version,
        entries=cubin.entries_of(names),
    )


def _plugin(given: str, capability: str | None, machine: str, folder: Path) -> Plugin:
    if given:
        shutil.copyfile(given, folder / plugin.LIBRARY)
        return Plugin(
            origin="named by staticPlugins where the bundle was made",
            sha256=digest.of_file(folder / plugin.LIBRARY),
            machine=machine,
        )
    if machine != platform.machine():
        raise EnvironmentLacks(
            f"the device is {machine} and this host {platform.machine()}, whose compiler makes no library for it"
        )
    path, facts = plugin.compiled(capability, cache_folder())
    shutil.copyfile(path, folder / plugin.LIBRARY)
    return facts


def _tools() -> dict[str, str]:
    """The compiler and the headers, or why there are none: with another answer the stage runs again."""
    asks: dict[str, Callable[[], str]] = {
        "nvcc": lambda: nvcc.find().version,
        "tensorrt headers": plugin.headers_told,
    }
    found = {}
    for name, ask in asks.items():
        try:
            found[name] = ask()
        except EnvironmentLacks as error:
            found[name] = error.problem
    return found
