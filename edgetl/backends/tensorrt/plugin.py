"""The library of the fused head: where a build takes it from, and that an engine brings the one it was built with."""

from __future__ import annotations

import mmap
import platform
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgetl import digest
from edgetl.errors import BackendError, EnvironmentLacks, InputError
from edgetl.home import tensorrt_headers
from edgetl.ops import library, nvcc, shipped
from edgetl.ops.cubin import driver_lacks
from edgetl.types import Engine

__all__ = [
    "DIGEST",
    "LIBRARY",
    "MEND",
    "OPERATOR",
    "ORIGIN",
    "VERSION",
    "Found",
    "check_given",
    "compiled",
    "find",
    "headers_told",
    "is_needed",
    "keep",
    "trusted",
]

LIBRARY = library.PLUGIN
OPERATOR, VERSION = "EdgetlFusedHead", "1"
"""As ``kernels/plugin/head_call.h`` has them."""
DIGEST, ORIGIN = "plugin_sha256", "plugin"
"""Keys of ``Engine.config``."""
MEND = (
    "make kernels TENSORRT_INCLUDE=DIR builds it where nvcc and TensorRT's headers are; "
    "--backend-option staticPlugins=FILE says where it is; the model without .fused in its name needs none"
)


@dataclass(frozen=True)
class Found:
    """A library, and where it is from in words."""

    path: Path
    origin: str


def is_needed(model: Path) -> bool:
    """Whether an ONNX file has a fused head: the name of its operator is in it, byte for byte."""
    with model.open("rb") as file:
        if not model.stat().st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
            return held.find(OPERATOR.encode()) >= 0


def find(asked: str, brought: Path | None, here: Mapping[str, str], cache: Path) -> Found:
    """The library to build with: the one that is named, or else the bundle's, the cache's, or one compiled now.

    Parameters
    ----------
    asked : what the option ``staticPlugins`` says; empty where it is not given.
    brought : ``kernels/`` of a bundle, whose library is taken where it is for this host.
    here : stamp of an engine that is built here (``stamp.built_with``); empty where nothing answers.
    cache : edgetl's (``edgetl.home.cache_folder``).

    Raises
    ------
    EnvironmentLacks : it is nowhere; of each place, why. BackendError : the compiler refused, which is no lack.
    BundleError : a byte of the bundle's differs.
    """
    if asked:
        return _named(Path(asked))

    def kept() -> Found:
        place = cache / "kernels" / LIBRARY
        if not place.is_file():
            raise EnvironmentLacks(f"there is no kernels/{LIBRARY} of edgetl's cache")
        return Found(place.absolute(), f"kernels/{LIBRARY} of edgetl's cache")

    def made() -> Found:
        path, facts = compiled(here.get("compute_capability"), cache, release=here.get("tensorrt", ""))
        return Found(path, facts.origin)

    lacks = []
    ways: list[Callable[[], Found]] = [kept, made]
    if brought is not None and brought.is_dir():
        ways.insert(0, lambda: _brought(brought, here))
    for way in ways:
        try:
            return way()
        except BackendError:
            raise
        except EnvironmentLacks as error:
            lacks.append(error.problem)
    raise EnvironmentLacks(f"a fused head runs in {LIBRARY}, and {'; '.join(lacks)}", hint=MEND)


def _named(place: Path) -> Found:
    if not place.is_file():
        raise EnvironmentLacks(f"a fused head runs in {LIBRARY}, and there is no {place}", hint=MEND)
    machine = shipped.machine_of(place)
    if machine and machine != platform.machine():
        raise EnvironmentLacks(
            f"{place} is a library for {machine}, and this host is {platform.machine()}", hint=MEND
        )
    return Found(place.absolute(), "named by staticPlugins")


def _brought(folder: Path, here: Mapping[str, str]) -> Found:
    """The bundle's, where it is for this host."""
    record = shipped.read(folder)
    facts = None if record is None else record.plugin
    if record is None or facts is None:
        why = "" if record is None else record.lacks.get(LIBRARY, "")
        raise EnvironmentLacks(f"the bundle brings none{f' ({why})' if why else ''}")
    capability, release = here.get("compute_capability", "none"), here.get("tensorrt", "none")
    lacks = ""
    if facts.machine != platform.machine():
        lacks = f"it is for {facts.machine}, and this host is {platform.machine()}"
    elif record.capability not in (None, capability):
        lacks = f"it is for compute capability {record.capability}, and this GPU has {capability}"
    elif facts.tensorrt and _major(facts.tensorrt) != _major(release):
        lacks = f"it is for TensorRT {facts.tensorrt}, and this host has {release}"
    elif facts.toolkit:
        lacks = driver_lacks(facts.toolkit, here.get("cuda", ""))
    if lacks:
        raise EnvironmentLacks(f"that of the bundle is not used: {lacks}")
    return Found(shipped.trusted(folder, LIBRARY, facts.sha256).absolute(), f"of the bundle, {facts.origin}")


def check_given(asked: str, machine: str, device: str) -> None:
    """Refuse a library that a bundle cannot bring to a device.

    Raises
    ------
    EnvironmentLacks : it is not there. InputError : it is for another machine, or is no library.
    """
    if not asked:
        return
    if not Path(asked).is_file():
        raise EnvironmentLacks(f"a fused head runs in {LIBRARY}, and there is no {asked}", hint=MEND)
    found = shipped.machine_of(Path(asked))
    if found != machine:
        what = f"a library for {found}" if found else "no library of Linux"
        raise InputError(
            f"staticPlugins {asked} is {what}, and {device} is {machine}",
            hint=f"make kernels TENSORRT_INCLUDE=DIR on a host that is {machine} builds one",
        )


def compiled(capability: str | None, cache: Path, *, release: str = "") -> tuple[Path, shipped.Plugin]:
    """The library for hosts like this one, from edgetl's own sources; and what its record says.

    Parameters
    ----------
    capability : compute capability of the GPU. release : of TensorRT here; empty where it is not here.

    Raises
    ------
    EnvironmentLacks : no nvcc, no headers of TensorRT, or not for this GPU or release.
    BackendError : the compiler refused.
    """
    if not capability:
        raise EnvironmentLacks("no compute capability is known to compile it for")
    compiler = nvcc.find()
    folder = _headers()
    version = _release_of(folder)
    told = ".".join(map(str, version))
    if release and _major(release) != str(version[0]):
        raise EnvironmentLacks(
            f"TensorRT's headers in {folder} are of {told}, and this host has TensorRT {release}"
        )
    path = library.find_plugin(compiler, capability, folder, version, cache=cache)
    return path, shipped.Plugin(
        origin=library.plugin_told(compiler, capability, version),
        sha256=digest.of_file(path),
        machine=platform.machine(),
        toolkit=compiler.version,
        tensorrt=told,
    )


def headers_told() -> str:
    """The release of the headers that a library is compiled with here.

    Raises
    ------
    EnvironmentLacks : there are none.
    """
    return ".".join(map(str, _release_of(_headers())))


def _headers() -> Path:
    """The folder of ``NvInfer.h``: that of ``TENSORRT_INCLUDE``, or where TensorRT's packages put it."""
    named = tensorrt_headers()
    places = (
        [named] if named else [Path(f"/usr/include/{platform.machine()}-linux-gnu"), Path("/usr/include")]
    )
    for place in places:
        if (place / "NvInfer.h").is_file():
            return place
    where = f"TENSORRT_INCLUDE, {named}" if named else " or ".join(map(str, places))
    raise EnvironmentLacks(f"no NvInfer.h of TensorRT's headers in {where}")


def _release_of(headers: Path) -> tuple[int, int]:
    """Major and minor number; 11 spells them otherwise than 10 and 8."""
    text = (headers / "NvInferVersion.h").read_text(encoding="utf-8", errors="replace")
    found = dict(re.findall(r"#define (?:NV_)?(?:TENSORRT|TRT)_(MAJOR|MINOR)(?:_ENTERPRISE)? (\d+)", text))
    if found.keys() != {"MAJOR", "MINOR"}:
        raise EnvironmentLacks(f"{headers}/NvInferVersion.h names no release of TensorRT")
    return int(found["MAJOR"]), int(found["MINOR"])


def _major(version: str) -> str:
    return version.partition(".")[0]


def keep(found: Found, folder: Path) -> dict[str, str]:
    """Put the library beside the plan that was built with it; what the engine's record says of it."""
    shutil.copyfile(found.path, folder / LIBRARY)
    return {DIGEST: digest.of_file(folder / LIBRARY), ORIGIN: found.origin}


def trusted(engine: Engine, folder: Path) -> Path | None:
    """The library that an engine brings, once its digest is the record's; ``None`` where it needs none.

    Raises
    ------
    BackendError : a byte differs. InputError : it is not among the engine's files.
    """
    expected = engine.config.get(DIGEST)
    if expected is None:
        return None
    if LIBRARY not in engine.files:
        raise InputError(f"the engine's record names no {LIBRARY}, which it needs", hint="build it again")
    found = digest.of_file(folder / LIBRARY)
    if found != expected:
        raise BackendError(
            f"{LIBRARY} is not what the engine was built with: its sha256 is {found[:12]}, "
            f"the record says {expected[:12]}",
            hint="edgetl compile BUNDLE   builds it again on this device",
            found=found,
            expected=expected,
        )
    return folder / LIBRARY
