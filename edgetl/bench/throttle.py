"""Signs that the system holds a processor back: counters and flags of the kernel, and how fast it may be clocked."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from edgetl.bench import sysfs

__all__ = ["clocks_fixed", "clocks_mhz", "power_mode", "risen", "signs"]

CPUS = "sys/devices/system/cpu"
RASPBERRY = "sys/devices/platform/soc/soc:firmware/get_throttled"
"""Bits of the firmware of a Raspberry Pi, hexadecimal: under-voltage, capped, throttled, soft limit."""
TOOL_SECONDS = 10


def signs(root: Path = Path("/")) -> dict[str, int] | None:
    """Counters and flags by name; any that rises during a measurement says that the system held it back.

    ``core`` and ``package`` events of Intel's processors (the busiest core), ``cgroup`` periods in which a container
    was out of its quota, over-current events of a Jetson (``oc1`` to ``oc3``), active ``cooling`` states, and the
    flags of a Raspberry Pi. ``None`` where the system has none of them.
    """
    found: dict[str, int] = {}
    for name in ("core", "package"):
        counts = _all(root.glob(f"{CPUS}/cpu[0-9]*/thermal_throttle/{name}_throttle_count"))
        if counts:
            found[name] = max(counts)
    quota = re.search(r"^nr_throttled (\d+)$", _cpu_stat(root), re.MULTILINE)
    if quota:
        found["cgroup"] = int(quota[1])
    for file in sorted(root.glob("sys/class/hwmon/hwmon*/oc*_event_cnt")):
        count = sysfs.whole(file)
        if count is not None:
            found[file.name.partition("_")[0]] = count
    cooling = _all(root.glob("sys/class/thermal/cooling_device*/cur_state"))
    if cooling:
        found["cooling"] = sum(cooling)
    flags = sysfs.text(root / RASPBERRY)
    if flags and re.fullmatch(r"(0x)?[0-9a-fA-F]+", flags):
        found["firmware"] = int(flags, 16)
    return found or None


def risen(before: Mapping[str, int] | None, after: Mapping[str, int] | None) -> list[str]:
    """Names of the signs that are larger than they were."""
    if before is None or after is None:
        return []
    return sorted(name for name, count in after.items() if count > before.get(name, count))


def clocks_mhz(root: Path = Path("/")) -> tuple[float, ...] | None:
    """Clock of each core at this moment, in the order of their numbers; ``None`` where it cannot be read."""
    files = sorted(root.glob(f"{CPUS}/cpu[0-9]*/cpufreq/scaling_cur_freq"), key=_core)
    clocks = [khz / 1000 for khz in map(sysfs.number, files) if khz is not None]
    if not clocks:
        lines = (sysfs.text(root / "proc/cpuinfo") or "").splitlines()
        clocks = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    return tuple(clocks) or None


def clocks_fixed(root: Path = Path("/")) -> bool | None:
    """Whether every core, and a Jetson's GPU, may run at one clock only, which is what ``jetson_clocks`` does.

    ``None`` where the limits cannot be read.
    """
    ranges = [
        (sysfs.number(file), sysfs.number(file.with_name(file.name.replace("min", "max"))))
        for pattern in (f"{CPUS}/cpu[0-9]*/cpufreq/scaling_min_freq", "sys/class/devfreq/*gpu*/min_freq")
        for file in root.glob(pattern)
    ]
    known = [(low, high) for low, high in ranges if low is not None and high is not None]
    return all(low == high for low, high in known) if known else None


def power_mode(root: Path = Path("/")) -> str | None:
    """A Jetson's power mode, asked of NVIDIA's tool: numbers of modes differ between boards and releases, names do not.

    ``None`` on what is no Jetson, and where the tool does not say.
    """
    try:
        done = subprocess.run(
            [str(root / "usr/sbin/nvpmodel"), "-q"],
            capture_output=True,
            text=True,
            timeout=TOOL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"NV Power Mode:\s*(\S+)", done.stdout)
    return found[1] if found else None


def _all(files: Iterable[Path]) -> list[int]:
    return [count for count in map(sysfs.whole, files) if count is not None]


def _core(file: Path) -> int:
    return int(re.sub(r"\D", "", file.parent.parent.name))


def _cpu_stat(root: Path) -> str:
    """Of the control group, version 2, then version 1."""
    return (
        sysfs.text(root / "sys/fs/cgroup/cpu.stat") or sysfs.text(root / "sys/fs/cgroup/cpu/cpu.stat") or ""
    )
