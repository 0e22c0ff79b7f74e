"""Signs of throttling, from trees of an Intel host, a container, a Raspberry Pi and a Jetson, made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.bench import throttle

CPU = "sys/devices/system/cpu"


def tree(root: Path, files: dict[str, str]) -> Path:
    """A small system."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {
                f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "3\n",
                f"{CPU}/cpu1/thermal_throttle/core_throttle_count": "7\n",
                f"{CPU}/cpu0/thermal_throttle/package_throttle_count": "9\n",
            },
            {"core": 7, "package": 9},
        ),
        ({"sys/fs/cgroup/cpu.stat": "usage_usec 5\nnr_periods 8\nnr_throttled 4\n"}, {"cgroup": 4}),
        ({"sys/fs/cgroup/cpu/cpu.stat": "nr_periods 8\nnr_throttled 2\n"}, {"cgroup": 2}),
        ({throttle.RASPBERRY: "50005\n"}, {"firmware": 0x50005}),
        (
            {"sys/class/hwmon/hwmon3/oc1_event_cnt": "2\n", "sys/class/hwmon/hwmon3/oc3_event_cnt": "x"},
            {"oc1": 2},
        ),
        (
            {
                "sys/class/thermal/cooling_device0/cur_state": "0\n",
                "sys/class/thermal/cooling_device1/cur_state": "2\n",
            },
            {"cooling": 2},
        ),
        ({}, None),
    ],
)
def test_each_system_says_it_in_its_own_way(
    tmp_path: Path, files: dict[str, str], expected: dict[str, int] | None
) -> None:
    assert throttle.signs(tree(tmp_path, files)) == expected


def test_only_what_rose_is_told() -> None:
    assert throttle.risen({"core": 1, "cgroup": 4}, {"core": 2, "cgroup": 4, "new": 3}) == ["core"]
    assert throttle.risen(None, {"core": 2}) == []


def test_clocks_are_in_the_order_of_the_cores_and_fixed_where_nothing_else_is_allowed(tmp_path: Path) -> None:
    files = {f"{CPU}/cpu{k}/cpufreq/scaling_cur_freq": f"{k}000\n" for k in (10, 2, 0)}
    limits = {f"{CPU}/cpu0/cpufreq/scaling_{end}_freq": "1500000\n" for end in ("min", "max")}
    gpu = {f"sys/class/devfreq/17000000.gpu/{end}_freq": "306000000\n" for end in ("min", "max")}
    place = tree(tmp_path, files | limits | gpu)
    assert throttle.clocks_mhz(place) == (0.0, 2.0, 10.0)
    assert throttle.clocks_fixed(place) is True
    (place / "sys/class/devfreq/17000000.gpu/max_freq").write_text("624750000\n")
    assert throttle.clocks_fixed(place) is False
    assert throttle.clocks_fixed(tmp_path / "nothing") is None


def test_the_power_mode_is_the_tools_word(tmp_path: Path) -> None:
    assert throttle.power_mode(tmp_path) is None
    tool = (
        tree(tmp_path, {"usr/sbin/nvpmodel": "#!/bin/sh\nprintf 'NV Power Mode: MAXN_SUPER\\n2\\n'\n"})
        / "usr/sbin/nvpmodel"
    )
    tool.chmod(0o755)
    assert throttle.power_mode(tmp_path) == "MAXN_SUPER"
