"""Kernels that a bundle brings to a device without a compiler: what they are for, and that no byte differs.

``kernels/`` of a bundle holds ``kernels.json``, and what of the rest could be made where the bundle was:
``fused_head.cubin``, device code that needs nothing of the device but its driver, and TensorRT's plugin, a library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec

from edgetl import digest
from edgetl.errors import BundleError, EnvironmentLacks
from edgetl.ops import cubin
from edgetl.ops.head import HeadFunctions
from edgetl.ops.library import ABI, PLUGIN
from edgetl.types import Record

__all__ = [
    "CUBIN",
    "FOLDER",
    "RECORD",
    "SCHEMA",
    "Head",
    "Kernels",
    "Plugin",
    "Shipped",
    "before",
    "head_of",
    "machine_of",
    "read",
    "told",
    "trusted",
]

SCHEMA = 1
FOLDER, RECORD, CUBIN = "kernels", "kernels.json", "fused_head.cubin"
MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64"}
"""``e_machine`` of an ELF file, as ``platform.machine`` says it."""
MACHINE_AT = 18
LACKING = "the bundle's kernels are not used: "


class Head(Record, frozen=True, kw_only=True):
    """The fused head's device code.

    Attributes
    ----------
    sha256 : of the file. abi : of its arguments. toolkit : version of CUDA that compiled it.
    entries : mangled names of its kernels, by ``edgetl.ops.cubin.key_of``.
    """

    sha256: str
    abi: int
    toolkit: str
    entries: dict[str, str]


class Plugin(Record, frozen=True, kw_only=True):
    """TensorRT's plugin.

    Attributes
    ----------
    origin : how it came to be, in words. sha256 : of the file. machine : it runs on, ``aarch64``.
    toolkit, tensorrt : versions that it was built with; ``None`` where a file was given.
    """

    origin: str
    sha256: str
    machine: str
    toolkit: str | None = None
    tensorrt: str | None = None


class Shipped(Record, frozen=True, kw_only=True):
    """``kernels.json``.

    Attributes
    ----------
    capability : compute capability they are for; ``None`` where the profile names none.
    head, plugin : ``None`` where it could not be made. lacks : why, by the file's name.
    """

    schema: int = SCHEMA
    capability: str | None
    head: Head | None = None
    plugin: Plugin | None = None
    lacks: dict[str, str] = {}


class Kernels(Protocol):
    """What a head needs of kernels: ``edgetl.ops.library.Library``, or those of a bundle."""

    @property
    def origin(self) -> str:
        """Where they are from, in words."""

    @property
    def head(self) -> HeadFunctions:
        """The head's functions."""


@dataclass(frozen=True)
class _FromCubin:
    """See ``Kernels``."""

    origin: str
    head: HeadFunctions = field(repr=False)


def machine_of(file: Path) -> str:
    """The machine that a library is for, as ``platform.machine`` says it; empty where it is no ELF file."""
    with file.open("rb") as opened:
        start = opened.read(MACHINE_AT + 2)
    if len(start) < MACHINE_AT + 2 or start[:4] != b"\x7fELF":
        return ""
    number = int.from_bytes(start[MACHINE_AT:], "little")
    return MACHINES.get(number, f"machine {number}")


def read(folder: Path) -> Shipped | None:
    """The record of a bundle's ``kernels/``; ``None`` where it has none.

    Raises
    ------
    BundleError : it is not what this version writes.
    """
    file = folder / RECORD
    if not file.is_file():
        return None
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Shipped)
    except msgspec.DecodeError as error:
        raise BundleError(
            f"{FOLDER}/{RECORD} is not what this version writes: {error}", hint="build it again", file=RECORD
        ) from error
    if found.schema > SCHEMA:
        raise BundleError(
            f"{FOLDER}/{RECORD} has schema {found.schema}, this edgetl reads up to {SCHEMA}",
            hint="pip install --upgrade edgetl",
            schema=found.schema,
        )
    return found


def told(brought: Shipped) -> list[str]:
    """A line for each file that was brought, then for each that was not."""
    lines = []
    if brought.head is not None:
        lines.append(f"{CUBIN} for compute capability {brought.capability}, by nvcc {brought.head.toolkit}")
    if brought.plugin is not None:
        lines.append(f"{PLUGIN} for {brought.plugin.machine}, {brought.plugin.origin}")
    return lines + [f"{name} is not in the bundle: {why}" for name, why in brought.lacks.items()]


def trusted(folder: Path, name: str, expected: str) -> Path:
    """A file of ``kernels/``, once its digest is the record's.

    Raises
    ------
    BundleError : a byte differs, or it is not there.
    """
    file = folder / name
    found = digest.of_file(file) if file.is_file() else "none"
    if found != expected:
        raise BundleError(
            f"{FOLDER}/{name} is not what the bundle was made with: its sha256 is {found[:12]}, "
            f"{RECORD} says {expected[:12]}",
            hint="copy the bundle again",
            found=found,
            expected=expected,
        )
    return file


def head_of(bundle: Path, capability: str, *, cuda: Any = None) -> Kernels:
    """The fused head that a bundle brings for a GPU, in the context that is current.

    Parameters
    ----------
    bundle : folder of one whose every byte was checked (``edgetl.runtime.open_bundle``).
    cuda : ``libcuda``; the system's where it is ``None``.

    Raises
    ------
    BundleError : a byte differs. EnvironmentLacks : it brings none, or none for this GPU or driver.
    """
    folder = bundle / FOLDER
    found = read(folder)
    if found is None or found.head is None:
        why = "it brings none" if found is None else found.lacks.get(CUBIN, "it brings none")
        raise EnvironmentLacks(f"{LACKING}{why}", hint="edgetl build --fused-head puts them there")
    if found.capability != capability:
        raise EnvironmentLacks(
            f"{LACKING}they are for compute capability {found.capability}; this GPU has {capability}",
            hint="build the bundle for this device, or install nvcc here",
            capability=capability,
        )
    if found.head.abi != ABI:
        raise EnvironmentLacks(
            f"{LACKING}they have ABI {found.head.abi}, and this edgetl calls ABI {ABI}", hint="build it again"
        )
    image = trusted(folder, CUBIN, found.head.sha256).read_bytes()
    functions = cubin.functions(image, found.head.entries, toolkit=found.head.toolkit, cuda=cuda)
    told = f"of the bundle, compiled by nvcc {found.head.toolkit} for compute capability {capability}"
    return _FromCubin(told, functions)


def before(
    bundle: Path, otherwise: Callable[[str], Kernels], *, cuda: Any = None
) -> Callable[[str], Kernels]:
    """A way to kernels for a GPU: those of a bundle, or else ``otherwise``, which then says why.

    Raises
    ------
    BundleError : a byte of the bundle's differs. EnvironmentLacks : of both, why.
    """

    def find(capability: str) -> Kernels:
        try:
            return head_of(bundle, capability, cuda=cuda)
        except EnvironmentLacks as error:
            lacking = error
        try:
            found = otherwise(capability)
        except EnvironmentLacks as error:
            raise type(error)(
                f"{error.problem}; {lacking.problem}", hint=error.hint, **error.facts
            ) from lacking
        return _FromCubin(f"{found.origin}; {lacking.problem}", found.head)

    return find
