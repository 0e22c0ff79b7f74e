"""Power and energy from trees made up: no Jetson and no readable RAPL was at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgetl.bench import energy, told
from edgetl.testing import RecordedClock

RAPL = "sys/class/powercap"
NEW = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
OLD = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"


def tree(root: Path, files: dict[str, str]) -> Path:
    """A small ``/sys``."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def rapl(root: Path, joules: dict[str, float]) -> Path:
    """Counters of packages and of what is in them."""
    return tree(
        root,
        {
            f"{RAPL}/{place}/{file}": text
            for place, value in joules.items()
            for file, text in (
                ("name", "core\n" if place.count(":") == 2 else f"package-{place[-1]}\n"),
                ("energy_uj", f"{int(value * 1e6)}\n"),
                ("max_energy_range_uj", "1000000000\n"),
            )
        },
    )


def spend(root: Path, joules: float) -> None:
    """Let the counter of the first package run on, over its end where it comes to it."""
    file = root / RAPL / "intel-rapl:0/energy_uj"
    file.write_text(f"{(int(file.read_text()) + int(joules * 1e6)) % 1_000_000_000}\n")


def test_energy_is_of_the_inferences_and_a_counter_that_began_again_is_carried_on(
    tmp_path: Path, clock: RecordedClock
) -> None:
    place = rapl(tmp_path, {"intel-rapl:0": 998.0, "intel-rapl:1": 5.0, "intel-rapl:0:0": 1.0})
    source = energy.meter(place)
    assert source is not None

    def once() -> None:
        clock.now += 100_000_000
        spend(place, 0.5)

    def sleep(seconds: float) -> None:
        clock.now += int(seconds * 1e9)
        spend(place, 2.0)

    found = energy.measure(once, seconds=1.0, source=source, clock=clock, sleep=sleep)
    assert found is not None
    assert (found.source, found.total, found.runs) == ("rapl", "packages", 10)
    assert found.idle_watts == pytest.approx(2.0)
    assert found.watts["packages"] == pytest.approx(5.0)
    assert found.mj_per_run == pytest.approx(500.0)
    assert told.energy_line(found) == "  power      5.00 W, 2.00 W at rest · 500.00 mJ an inference (rapl)"


def test_rails_of_both_drivers_are_read_in_watts(tmp_path: Path) -> None:
    assert energy.rails_w(tmp_path) is None
    new = tree(
        tmp_path / "new",
        {
            f"{NEW}/in1_label": "VDD_IN\n",
            f"{NEW}/in1_input": "5000\n",
            f"{NEW}/curr1_input": "900\n",
            f"{NEW}/in2_label": "NC\n",
            f"{NEW}/in2_input": "0\n",
            f"{NEW}/curr2_input": "0\n",
            f"{NEW}/in3_label": "VDD_SOC\n",
            f"{NEW}/in3_input": "5000\n",
        },
    )
    assert energy.rails_w(new) == {"VDD_IN": 4.5}
    old = tree(tmp_path / "old", {f"{OLD}/rail_name_0": "POM_5V_IN\n", f"{OLD}/in_power0_input": "2345\n"})
    assert energy.rails_w(old) == {"POM_5V_IN": 2.345}


def test_polled_power_adds_up_over_time(tmp_path: Path) -> None:
    place = tree(tmp_path, {f"{OLD}/rail_name_0": "POM_5V_IN\n", f"{OLD}/in_power0_input": "3000\n"})
    source = energy.meter(place)
    assert source is not None and source.source == "ina3221"
    found = energy.measure(lambda: None, seconds=0.01, source=source)
    assert found is not None
    assert found.watts["POM_5V_IN"] == pytest.approx(
        3.0, rel=0.5
    )  # the poll ends a moment after the last run
    assert found.total == "POM_5V_IN"


def test_rails_that_are_parts_make_no_total(tmp_path: Path) -> None:
    place = tree(tmp_path, {f"{OLD}/rail_name_0": "VDD_GPU\n", f"{OLD}/in_power0_input": "3000\n"})
    found = energy.measure(lambda: None, seconds=0.01, source=energy.meter(place))
    assert found is not None
    assert (found.total, found.mj_per_run) == (None, None)
    assert "no rail here is known to feed the whole" in told.energy_line(found)


def test_tegrastats_is_asked_where_the_sensor_cannot_be_read(tmp_path: Path) -> None:
    assert energy.meter(tmp_path) is None
    assert energy.tegrastats_w(
        "RAM 1/2MB SWAP 0/3MB CPU [1%@729] VDD_IN 4700/4716 VDD_CPU_GPU_CV 800/810"
    ) == {
        "VDD_IN": 4.7,
        "VDD_CPU_GPU_CV": 0.8,
    }
    tool = tree(
        tmp_path, {"usr/bin/tegrastats": "#!/bin/sh\necho 'RAM 1/2 VDD_IN 4700mW/4700mW'\nexec sleep 60\n"}
    )
    (tool / "usr/bin/tegrastats").chmod(0o755)
    source = energy.meter(tmp_path)
    assert source is not None
    assert source.source == "tegrastats"
