"""NVIDIA's driver and the GPUs behind it, asked in a child process before a vendor library is touched.

TensorRT without a driver does not raise: the first use of its runtime ends the process. So nothing of it is made
until ``cuInit`` has answered, and what a broken driver does to the asking process is done to a child.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from edgetl import isolate
from edgetl.errors import EdgetlError
from edgetl.types import Record

__all__ = ["MEND", "Driver", "Gpu", "find", "look"]

LIBRARY = "libcuda.so.1"
MEND = "install NVIDIA's driver; in a container: docker run --gpus all (on a Jetson: --runtime nvidia)"
REASONS = {
    100: "the driver finds no GPU",
    803: "the driver in this container is not the host's",
    804: "the driver is older than its libraries",
}
"""Of ``CUresult``, what a user meets."""
INTEGRATED, MAJOR, MINOR = 18, 75, 76
"""Of ``CUdevice_attribute``."""


class Gpu(Record, frozen=True, kw_only=True):
    """One GPU.

    Attributes
    ----------
    capability : CUDA's compute capability, ``8.7``. memory_mib : all of it.
    integrated : it shares its memory with the CPU, as on a Jetson.
    """

    name: str
    capability: str
    memory_mib: int
    integrated: bool


class Driver(Record, frozen=True, kw_only=True):
    """What the driver said.

    Attributes
    ----------
    reason : why no GPU can be used; empty where one can. version : of CUDA, that it serves at most.
    gpus : in CUDA's order, after ``CUDA_VISIBLE_DEVICES``; the first is the one that is used.
    """

    reason: str = ""
    version: str = ""
    gpus: tuple[Gpu, ...] = ()


@cache
def find() -> Driver:
    """The driver of this host, asked once a process."""
    try:
        return msgspec.convert(isolate.call(f"{__name__}:look", {}), Driver)
    except EdgetlError as error:
        return Driver(reason=f"asking the driver failed: {error.problem}")


def look() -> dict[str, Any]:
    """The same, asked in this process: for the child that ``find`` starts."""
    try:
        cuda = ctypes.CDLL(LIBRARY)
    except OSError:
        return {"reason": f"no NVIDIA driver: {LIBRARY} is not there"}
    code = cuda.cuInit(0)
    if code:
        return {"reason": REASONS.get(code, f"cuInit failed with code {code}")}
    count = _number(cuda.cuDeviceGetCount)
    if not count:
        return {"reason": REASONS[100]}
    version = _number(cuda.cuDriverGetVersion)
    return {
        "version": f"{version // 1000}.{version % 1000 // 10}",
        "gpus": [_gpu(cuda, index) for index in range(count)],
    }


def _number(ask: Callable[..., int], *arguments: int) -> int:
    found = ctypes.c_int()
    code = ask(ctypes.byref(found), *arguments)
    return 0 if code else found.value


def _gpu(cuda: Any, index: int) -> dict[str, Any]:
    device = _number(cuda.cuDeviceGet, index)
    name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t()
    cuda.cuDeviceGetName(name, len(name), device)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    major, minor, integrated = (
        _number(cuda.cuDeviceGetAttribute, attribute, device) for attribute in (MAJOR, MINOR, INTEGRATED)
    )
    return {
        "name": name.value.decode(errors="replace").removesuffix(" (nvgpu)"),
        "capability": f"{major}.{minor}",
        "memory_mib": memory.value >> 20,
        "integrated": bool(integrated),
    }
