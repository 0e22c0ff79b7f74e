"""The context says what the system says, and nothing where it says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.bench import context


def tree(root: Path, files: dict[str, str]) -> Path:
    """A small ``/proc`` and ``/sys``."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    found = context.read(tmp_path)
    assert (found.cpu, found.governor, found.clock_mhz, found.temperature_c) == (None,) * 4
    assert (found.cpu_limit, found.memory_limit_mib, found.virtual) == (None,) * 3
    assert (found.clocks_mhz, found.clocks_fixed, found.throttle, found.power_mode, found.power_w) == (
        None,
    ) * 5


def test_what_can_be_read_is_told(tmp_path: Path) -> None:
    cpu = "cpu0/cpufreq"
    place = tree(
        tmp_path,
        {
            "proc/cpuinfo": "model name\t: Board X\nflags\t\t: fpu avx2 amx_int8 hypervisor\ncpu MHz\t\t: 1.0\n",
            "proc/meminfo": "MemTotal:       2097152 kB\n",
            f"sys/devices/system/cpu/{cpu}/scaling_governor": "powersave\n",
            f"sys/devices/system/cpu/{cpu}/scaling_cur_freq": "1800000\n",
            "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "2200000\n",
            "sys/class/thermal/thermal_zone0/temp": "41000\n",
            "sys/class/thermal/thermal_zone1/temp": "63500\n",
            "sys/fs/cgroup/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/memory.max": "1073741824\n",
        },
    )
    found = context.read(place, threads=2)
    assert (found.cpu, found.isa, found.virtual) == ("Board X", ("amx_int8", "avx2"), True)
    assert (found.governor, found.clock_mhz, found.temperature_c) == ("powersave", 2000.0, 63.5)
    assert (found.cpu_limit, found.memory_limit_mib, found.memory_mib) == (1.5, 1024, 2048)
    assert found.threads == 2
    assert found.clocks_mhz == (1800.0, 2200.0)
    assert found.affinity is not None and len(found.affinity) == found.usable_cores


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        (
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
            None,
        ),
        (
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
    ],
)
def test_a_limit_of_the_control_group_is_read_from_both_versions(
    tmp_path: Path, files: dict[str, str], cores: float | None
) -> None:
    assert context.read(tree(tmp_path, files)).cpu_limit == cores


def test_a_distribution_that_is_absent_has_no_version() -> None:
    assert context.versions(["no-such-distribution"])["no-such-distribution"] is None
