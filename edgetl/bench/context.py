"""What a measurement was taken on: read from the system, ``None`` where the system does not say."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from edgetl.bench import energy, sysfs, throttle
from edgetl.types import Record

__all__ = ["Context", "read", "temperature_c", "versions"]

DISTRIBUTIONS = ("edgetl", "numpy", "openvino", "onnxruntime")
ISA = frozenset(
    {
        "avx2",
        "avx_vnni",
        "avx512f",
        "avx512_vnni",
        "avx512_bf16",
        "avx512_fp16",
        "amx_tile",
        "amx_int8",
        "amx_bf16",
    }
)


class Context(Record, frozen=True, kw_only=True):
    """The host and its state when a measurement began; every field is ``None`` where it could not be read.

    Attributes
    ----------
    cpu : the processor's own name.
    isa : vector extensions that decide which kernels run.
    cores : processors of the host; ``usable_cores``: those that this process may run on; ``affinity``: their numbers.
    cpu_limit : cores that the control group grants, ``memory_limit_mib`` its memory.
    governor : frequency governor of the first core.
    clock_mhz : mean clock over the cores, at this moment; ``clocks_mhz``: that of each.
    clocks_fixed : they cannot change (``jetson_clocks``, or a governor whose limits are one).
    throttle : counters and flags by name (``throttle.signs``).
    load : runnable processes, mean of the last minute.
    temperature_c : the hottest thermal zone.
    power_mode : of a Jetson, as ``nvpmodel -q`` names it.
    power_w : of each rail that has a sensor, at this moment.
    virtual : a hypervisor is below, so that clock and temperature are not the machine's own.
    threads : inference threads of the engine; ``None`` leaves the vendor's default.
    versions : of the Python, the system and the libraries that shape the result.
    """

    cpu: str | None = None
    isa: tuple[str, ...] = ()
    cores: int | None = None
    usable_cores: int | None = None
    affinity: tuple[int, ...] | None = None
    cpu_limit: float | None = None
    memory_mib: int | None = None
    memory_limit_mib: int | None = None
    governor: str | None = None
    clock_mhz: float | None = None
    clocks_mhz: tuple[float, ...] | None = None
    clocks_fixed: bool | None = None
    throttle: dict[str, int] | None = None
    load: float | None = None
    temperature_c: float | None = None
    power_mode: str | None = None
    power_w: dict[str, float] | None = None
    virtual: bool | None = None
    threads: int | None = None
    versions: dict[str, str | None] = msgspec.field(default_factory=dict)


def read(root: Path = Path("/"), *, threads: int | None = None, also: Iterable[str] = ()) -> Context:
    """The context of this moment.

    Parameters
    ----------
    root : where ``proc`` and ``sys`` are.
    threads : inference threads, where they were set.
    also : further distributions whose versions belong to the result.
    """
    info = sysfs.text(root / "proc/cpuinfo") or ""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    clocks = throttle.clocks_mhz(root)
    flags = frozenset((_field(info, "flags") or _field(info, "Features") or "").split())
    return Context(
        cpu=_field(info, "model name") or sysfs.text(root / "proc/device-tree/model"),
        isa=tuple(sorted(flags & ISA)),
        cores=os.cpu_count(),
        usable_cores=None if cores is None else len(cores),
        affinity=None if cores is None else tuple(cores),
        cpu_limit=_cpu_limit(root),
        memory_mib=_memory_mib(root),
        memory_limit_mib=_memory_limit_mib(root),
        governor=sysfs.text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        clock_mhz=round(sum(clocks) / len(clocks), 1) if clocks else None,
        clocks_mhz=clocks,
        clocks_fixed=throttle.clocks_fixed(root),
        throttle=throttle.signs(root),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        temperature_c=temperature_c(root),
        power_mode=throttle.power_mode(root),
        power_w=energy.rails_w(root),
        virtual="hypervisor" in flags if flags else None,
        threads=threads,
        versions=versions((*DISTRIBUTIONS, *also)),
    )


def versions(distributions: Iterable[str]) -> dict[str, str | None]:
    """Versions of the Python, the system and these distributions; ``None`` where one is not installed."""
    found: dict[str, str | None] = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _field(info: str, name: str) -> str | None:
    for line in info.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None


def _cpu_limit(root: Path) -> float | None:
    """Cores that the control group grants (version 2, then version 1); ``None`` where there is no limit."""
    quota, _, period = (sysfs.text(root / "sys/fs/cgroup/cpu.max") or "").partition(" ")
    if not quota:
        quota = sysfs.text(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us") or "-1"
        period = sysfs.text(root / "sys/fs/cgroup/cpu/cpu.cfs_period_us") or "100000"
    try:
        cores = float(quota) / float(period)
    except ValueError:  # the word "max"
        return None
    return cores if cores > 0 else None


def _memory_mib(root: Path) -> int | None:
    total = _field(sysfs.text(root / "proc/meminfo") or "", "MemTotal")
    return int(total.split()[0]) // 1024 if total else None


def _memory_limit_mib(root: Path) -> int | None:
    limit = sysfs.number(root / "sys/fs/cgroup/memory.max")
    return int(limit) >> 20 if limit is not None else None


def temperature_c(root: Path = Path("/")) -> float | None:
    """The hottest thermal zone, degrees Celsius."""
    zones = [sysfs.number(zone) for zone in root.glob("sys/class/thermal/thermal_zone*/temp")]
    known = [milli / 1000 for milli in zones if milli is not None]
    return max(known) if known else None
