"""What an engine was built with and for, and the refusal to deserialise one that is another host's or was changed."""

from __future__ import annotations

from pathlib import Path

from edgetl import digest
from edgetl.backends.driver import Gpu
from edgetl.errors import BackendError, NotComparable
from edgetl.types import Engine

__all__ = ["ANY_RELEASE", "DIGEST", "HARDWARE", "PLAN", "built_with", "numbers", "trusted_plan"]

PLAN = "engine.plan"
"""As the builder gave it, with no byte of ours before it: trtexec opens it, too."""

ANY_RELEASE, DIGEST, HARDWARE = "versionCompatible", "sha256", "hardwareCompatibilityLevel"
"""Keys of ``Engine.config``."""
REBUILD = "edgetl compile BUNDLE   builds it again on this device"
AMPERE = (8, 0)
OPENS_NEXT = {8: 10, 10: 11}
"""Major release -> the one after it, which still opens its version-compatible engines."""


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers, so that 10.12 is after 10.3.

    >>> numbers("10.3.0"), numbers("8.7")
    ((10, 3, 0), (8, 7))
    """
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def built_with(version: str, gpu: Gpu, cuda: str) -> dict[str, str]:
    """The stamp of an engine that is built here."""
    return {"tensorrt": version, "gpu": gpu.name, "compute_capability": gpu.capability, "cuda": cuda}


def trusted_plan(engine: Engine, folder: Path, version: str, gpu: Gpu) -> bytes:
    """The plan's bytes, once release, GPU and digest are what the record says.

    Raises
    ------
    NotComparable : another release or GPU. BackendError : a byte differs.
    """
    built = engine.built_with
    name, capability = built.get("gpu", "unknown"), built.get("compute_capability", "")
    made = f"TensorRT {built.get('tensorrt', 'unknown')} for {name} ({capability or 'unknown'})"
    here = f"TensorRT {version} and {gpu.name} ({gpu.capability})"
    if not _opens(engine, version) or not _runs_on(engine, gpu):
        raise NotComparable(
            f"the engine was built with {made}, this host has {here}",
            hint=REBUILD,
            built_with=made,
            found=here,
        )
    plan = (folder / engine.files[0]).read_bytes()
    found, expected = digest.of_bytes(plan), engine.config.get(DIGEST, "unknown")
    if found != expected:
        raise BackendError(
            f"{engine.files[0]} is not what was built: its sha256 is {found[:12]}, the record says {expected[:12]}",
            hint=REBUILD,
            found=found,
            expected=expected,
        )
    return plan


def _opens(engine: Engine, version: str) -> bool:
    """TensorRT opens plans of its own release only, unless they were built to be opened by later ones."""
    built, here = numbers(engine.built_with.get("tensorrt", "")), numbers(version)
    if built == here or not built:
        return bool(built)
    if engine.config.get(ANY_RELEASE) != "true" or here < built:
        return False
    return here[0] in (built[0], OPENS_NEXT.get(built[0]))


def _runs_on(engine: Engine, gpu: Gpu) -> bool:
    """A plan is for one model of GPU: on another of its architecture its kernels are not those that were fastest."""
    built, level = engine.built_with, engine.config.get(HARDWARE, "none")
    capability = built.get("compute_capability", "")
    if level == "ampere+":
        return numbers(gpu.capability) >= AMPERE
    if level == "sameComputeCapability":
        return capability == gpu.capability
    return (built.get("gpu"), capability) == (gpu.name, gpu.capability)
