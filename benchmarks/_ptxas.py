"""What ptxas -v says of kernels, and how much of a multiprocessor they can fill."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["LIMITS", "Limits", "Usage", "readable", "resident_warps", "threads_of", "usages"]

ENTRY = re.compile(r"Compiling entry function '(\w+)' for 'sm_(\d+)'")
SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers(?:.*?, (\d+) bytes smem)?")
BOUND = re.compile(r"\.entry (\w+)\(.*?^\.maxntid (\d+)(?:, (\d+), (\d+))?", re.DOTALL | re.MULTILINE)

WARP, WARPS_OF_A_PARTITION, REGISTER_UNIT = 32, 4, 256
"""Registers are given by warp, in units, to warps of four partitions; cuda_occupancy.h has the same."""


@dataclass(frozen=True)
class Limits:
    """Of one multiprocessor: CUDA C++ Programming Guide, technical specifications by compute capability.

    Attributes
    ----------
    shared_unit, reserved : bytes; shared memory is given in units, the system's own bytes of each block included.
    """

    warps: int
    blocks: int
    shared_kib: int
    shared_unit: int = 128
    reserved: int = 1024
    registers: int = 65536


LIMITS: Mapping[str, Limits] = {
    "75": Limits(32, 16, 64, shared_unit=256, reserved=0),
    "80": Limits(64, 32, 164),
    "86": Limits(48, 16, 100),
    "87": Limits(48, 16, 164),
    "89": Limits(48, 24, 100),
    "90": Limits(64, 32, 228),
    "100": Limits(64, 32, 228),
    "110": Limits(48, 24, 228),
}


@dataclass(frozen=True)
class Usage:
    """What one kernel takes on one architecture: a thread's registers, a block's shared bytes."""

    kernel: str
    architecture: str
    registers: int
    shared_bytes: int
    stack_bytes: int
    spill_bytes: int


def usages(words: str) -> list[Usage]:
    """Of every kernel and architecture that a compilation with -Xptxas=-v told of, by its mangled name."""
    found = []
    starts = [*ENTRY.finditer(words)]
    for start, end in zip(starts, [*(m.start() for m in starts[1:]), len(words)]):
        said = words[start.end() : end]
        spills, used = SPILLS.search(said), USED.search(said)
        if spills is None or used is None:
            raise ValueError(f"ptxas said nothing of {start[1]}'s registers")
        stack, stores, loads = map(int, spills.groups())
        found.append(Usage(start[1], start[2], int(used[1]), int(used[2] or 0), stack, stores + loads))
    return found


def threads_of(ptx: str) -> dict[str, int]:
    """Threads of a block by a kernel's mangled name, from its launch bounds."""
    return {name: int(x) * int(y or 1) * int(z or 1) for name, x, y, z in BOUND.findall(ptx)}


def readable(names: Iterable[str]) -> dict[str, str]:
    """Mangled names as the sources spell them, without namespaces and parameters."""
    listed = list(names)
    if not listed:
        return {}
    done = subprocess.run(["c++filt"], input="\n".join(listed), capture_output=True, text=True, check=True)
    return {name: _short(text) for name, text in zip(listed, done.stdout.splitlines())}


def _short(text: str) -> str:
    """Of ``void a::(anonymous namespace)::f<4, a::Half>(a::Args)``: ``f<4, Half>``."""
    bare = re.sub(r"(?:\w+::|\(anonymous namespace\)::)+", "", text)
    found = re.match(r"(?:void )?(\w+(?:<.*>)?)\(", bare)
    return found[1] if found else text


def resident_warps(usage: Usage, threads: int, limits: Limits) -> int:
    """Warps that a multiprocessor holds at once, for blocks of so many threads."""
    warps = -(-threads // WARP)
    of_registers = -(-usage.registers * WARP // REGISTER_UNIT) * REGISTER_UNIT
    held = limits.registers // of_registers // WARPS_OF_A_PARTITION * WARPS_OF_A_PARTITION
    blocks = [limits.blocks, limits.warps // warps, held // warps]
    shared = -(-(usage.shared_bytes + limits.reserved) // limits.shared_unit) * limits.shared_unit
    if shared:
        blocks.append(limits.shared_kib * 1024 // shared)
    return min(blocks) * warps
